"""What is known of the disks of this node and of the others.

The core watches its own and tells when it gets full, when it has room again, and how long it has
not answered. The others' reports are news of a moment ago. Nothing here decides: the core refuses
writes and hands leaderships over by itself.
"""

from phantomdb.core import Node
from phantomdb.core.events import DiskChanged
from phantomdb.wire.messages import DiskReport

#: A disk that has not answered for so long is stalled, in milliseconds: it is no slow one.
STALL_MS = 1_000
#: Of a node that has not told of its disk yet.
_UNKNOWN = DiskReport(is_short=False, free=0, total=0, reserve=0)


class Disks:
    """The disks of a cluster's nodes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._is_short = False
        self._told: dict[int, DiskReport] = {}

    def changed(self, disk: DiskChanged) -> None:
        """Take the core's news of its own disk."""
        self._is_short = disk.room != "enough"

    def has_room(self) -> bool:
        """Whether this node's own disk is above its reserve."""
        return not self._is_short

    def stalled_s(self) -> float:
        """Return for how many seconds this node's disk has not answered; 0 if it does."""
        report = self.report()
        return report.pending_ms / 1_000 if is_stalled(report) else 0.0

    def is_fit(self) -> bool:
        """Whether this node's disk lets it lead: it has room, and answers."""
        return self.has_room() and not self.stalled_s()

    def heard(self, node: int, report: DiskReport) -> None:
        """Take another node's report."""
        self._told[node] = report

    def report(self) -> DiskReport:
        """Return what the core knows of this node's disk."""
        stats = self._node.stats()
        return DiskReport(
            is_short=bool(stats["disk_short"]),
            free=stats["disk_free_bytes"],
            total=stats["disk_total_bytes"],
            reserve=stats["disk_reserve_bytes"],
            pending_ms=stats["disk_pending_ms"],
            sql_held=stats["sql_memory_bytes"],
            sql_limit=stats["sql_memory_limit_bytes"],
        )

    def of(self, node: int) -> DiskReport:
        """Return the newest report of a node."""
        return self.report() if node == self._node.id else self._told.get(node, _UNKNOWN)


def is_stalled(report: DiskReport) -> bool:
    """Whether a disk does not answer."""
    return report.pending_ms > STALL_MS
