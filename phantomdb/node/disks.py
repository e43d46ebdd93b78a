"""What the log says of this node's disk.

It gets full, has room again, stops to answer, answers again: each turn is a line. Nothing here
decides: the core refuses writes and hands leaderships over by itself.
"""

import logging

import trio

from phantomdb.cluster.disks import Disks
from phantomdb.core.events import DiskChanged

logger = logging.getLogger(__name__)

#: Between two looks whether the disk answers, in seconds.
LOOK_S = 0.5


class DiskLog:
    """Writes down what is news of the disk."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._is_stalled = False

    def changed(self, disk: DiskChanged) -> None:
        """Say that it got full, or has room again."""
        sizes = f"{disk.free} of {disk.total} bytes are free, {disk.reserve} are kept in reserve"
        if disk.room == "enough":
            logger.info("the disk has room again: %s; writes are taken", sizes)
        elif disk.room == "short":
            logger.warning("the disk is full: %s; reads go on, writes where others lead", sizes)
        else:
            logger.error("the disk is almost used up: %s; nothing new is kept here", sizes)

    async def run(self) -> None:
        """Say when it stops to answer and when it begins again, for ever."""
        while True:
            await trio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Say if the disk has stopped to answer since the last look, or has begun again."""
        waited_s = self._disks.stalled_s()
        if waited_s and not self._is_stalled:
            logger.error(
                "the disk has not answered for %.1f s: this node is not ready, and others lead",
                waited_s,
            )
        elif self._is_stalled and not waited_s:
            logger.warning("the disk answers again")
        self._is_stalled = bool(waited_s)
