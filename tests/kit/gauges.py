"""What a node takes of its machine: memory of its process, bytes of its folders, its own metrics.

Read from outside, from `/proc`, the file system and `/metrics`, so that a node cannot be wrong
about itself.
"""

import http.client
from pathlib import Path

from phantomdb.client.processes import NodeProcess

MIB = 1 << 20
#: How long an admin door may take to answer, in seconds.
LOOK_S = 30.0


def resident_mib(node: NodeProcess) -> tuple[int, int]:
    """Return what a node's process holds of memory, now and at most since its start, in MiB."""
    status = Path(f"/proc/{node.pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return _kib(fields["VmRSS"]) >> 10, _kib(fields["VmHWM"]) >> 10


def _kib(field: str) -> int:
    number, unit = field.split()
    assert unit == "kB", f"/proc counts in {unit}"
    return int(number)


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files of a folder; those that go meanwhile do not count."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def metric(node: NodeProcess, name: str) -> int:
    """Return one number of a node's `/metrics`."""
    connection = http.client.HTTPConnection(node.admin.host, node.admin.port, timeout=LOOK_S)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    values = [line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")]
    assert len(values) == 1, f"{node.name} tells {name} {len(values)} times"
    return int(float(values[0]))
