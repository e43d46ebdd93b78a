"""pgbench: one prepared statement after another on each of many connections."""

import re
import statistics
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

WORKLOADS = Path(__file__).parent.parent / "workloads"


class Ran(NamedTuple):
    """What clients were answered: requests a second, how many, and the median of their times."""

    rate: float
    count: int
    #: Not known if nobody asked for it.
    p50_us: float | None = None


def pgbench(port: int, script: str, *, clients: int, seconds: float, with_p50: bool = False) -> Ran:
    """Run a workload; with `with_p50` the time of each statement is taken down."""
    with TemporaryDirectory(prefix="pgbench-") as folder:
        command = [
            *("pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-n"),
            *("-f", str(WORKLOADS / f"{script}.sql"), "-c", str(clients), "-j", "1"),
            *("-T", f"{seconds:.0f}", "-M", "prepared", *(["-l"] if with_p50 else [])),
            "postgres",
        ]
        out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout
        # Of each line of a log the third field is the time that the statement took.
        logs = [path.read_text() for path in Path(folder).glob("pgbench_log.*")]
        took_us = [int(line.split()[2]) for log in logs for line in log.splitlines()]
    assert "number of failed transactions: 0 " in out, out
    rate = re.search(r"tps = ([0-9.]+)", out)
    count = re.search(r"transactions actually processed: ([0-9]+)", out)
    assert rate is not None, out
    assert count is not None, out
    assert bool(took_us) == with_p50, out
    p50_us = statistics.median(took_us) if took_us else None
    return Ran(float(rate[1]), int(count[1]), p50_us)
