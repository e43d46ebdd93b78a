"""What peers say beside consensus: each message goes to whom it concerns.

A peer may be of another version, or broken: what is no message of ours costs a line of the log and
nothing else.
"""

import logging

from phantomdb.cluster.cancels import Cancels
from phantomdb.cluster.disks import Disks
from phantomdb.cluster.reports import Reports
from phantomdb.core.events import ControlReceived
from phantomdb.wire import messages
from phantomdb.wire.messages import CancelSession, DiskReport, GroupReport, MalformedMessage

logger = logging.getLogger(__name__)


class Control:
    """Takes messages of the control plane."""

    def __init__(self, reports: Reports, disks: Disks, cancels: Cancels) -> None:
        self._reports = reports
        self._disks = disks
        self._cancels = cancels

    def received(self, event: ControlReceived) -> None:
        """Take one."""
        try:
            self._take(event.peer, event.message)
        except (MalformedMessage, TypeError, ValueError) as error:
            logger.warning("peer %d: %s", event.peer, error)

    def _take(self, peer: int, message: bytes) -> None:
        match messages.decode(message):
            case CancelSession() as cancel:
                self._cancels.heard(cancel)
            case GroupReport() as report:
                self._reports.heard(report)
            case DiskReport() as report:
                self._disks.heard(peer, report)
            case _:
                pass  # Of formation or of a handshake: it has its own door.
