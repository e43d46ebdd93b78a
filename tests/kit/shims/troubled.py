"""Nodes whose syncs are slow and whose wall clocks are wrong, as long as a test says.

    trouble = Trouble(tmp_path)
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        trouble.slow_syncs(["n2"], ms=500)
        trouble.move_clock(["n1"], seconds=45)

Each node runs with libraries that are preloaded: `slow_sync.c`, built here with the system's C
compiler, and libfaketime (the package `faketime`). Each has files of its own that say what is
wrong, named by the node; they may be changed while it runs, and are read again at each call. The
monotonic clock stays what it is: clocks of machines are set, time is not.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from phantomdb.client.processes import COMMAND

SOURCE = Path(__file__).with_name("slow_sync.c")
#: Where Debian puts libfaketime for programs with threads.
FAKETIME = "faketime/libfaketimeMT.so.1"
#: How long the compiler may take, in seconds.
COMPILE_S = 60.0
#: Finds the node's name among its arguments, and runs it with its own files.
SCRIPT = """
for word; do [ "$before" = --name ] && name=$word; before=$word; done
export PHANTOM_SLOW_SYNC="$0/$name.syncs" FAKETIME_TIMESTAMP_FILE="$0/$name.clock"
exec env LD_PRELOAD="$PRELOAD" "$@"
"""


class Trouble:
    """What is wrong with the syncs and clocks of nodes; at first nothing is."""

    def __init__(self, directory: Path, *, clocks: bool = False) -> None:
        """Build the library; `clocks` asks for libfaketime too."""
        self._directory = directory / "trouble"
        self._directory.mkdir()
        libraries = [build_slow_sync(self._directory), *([find_faketime()] if clocks else [])]
        preload = ":".join(map(str, libraries))
        settings = ["FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1", f"PRELOAD={preload}"]
        self.command = ("env", *settings, "sh", "-c", SCRIPT, str(self._directory), *COMMAND)
        self._has_clocks = clocks

    def slow_syncs(self, nodes: Sequence[str], *, ms: int, writes_ms: int = 0) -> None:
        """Let each sync of these nodes take so much longer, and each write of a file."""
        for node in nodes:
            self._say(f"{node}.syncs", f"{ms} {writes_ms}\n")

    def move_clock(self, nodes: Sequence[str], *, seconds: float) -> None:
        """Put the wall clocks of these nodes so far ahead of the machine's, or behind it."""
        assert self._has_clocks, "ask for clocks first"
        for node in nodes:
            self._say(f"{node}.clock", f"{seconds:+}\n")

    def _say(self, name: str, text: str) -> None:
        """Replace a file, so that no node ever sees an empty one."""
        new = self._directory / f"{name}.new"
        new.write_text(text)
        new.replace(self._directory / name)


def build_slow_sync(directory: Path) -> Path:
    """Compile the library that makes syncs slow."""
    library = directory / "slow_sync.so"
    command = ["cc", "-O2", "-fPIC", "-shared", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=COMPILE_S)
    return library


def find_faketime() -> Path:
    """Return libfaketime, which `ci/setup` installs."""
    found = sorted(Path("/usr/lib").glob(f"*/{FAKETIME}"))
    assert found, "libfaketime is missing: apt-get install faketime, or run ci/setup"
    return found[0]
