"""Where each event of the core goes: to whom it concerns, and to the log."""

import logging

from phantomdb.cluster.control import Control
from phantomdb.cluster.disks import Disks
from phantomdb.consensus.elections import ElectionController
from phantomdb.core.events import (
    BecameLeader,
    ClockChanged,
    ControlReceived,
    DiskChanged,
    ElectionDue,
    Event,
    LostLeadership,
    MemberTooFarBehind,
)
from phantomdb.node.clocks import ClockLog
from phantomdb.node.disks import DiskLog

logger = logging.getLogger(__name__)


class Events:
    """Takes what the core tells."""

    def __init__(
        self, elections: ElectionController, control: Control, disks: Disks, disk_log: DiskLog
    ) -> None:
        self._elections = elections
        self._control = control
        self._disks = disks
        self._disk_log = disk_log
        self._clock_log = ClockLog()

    def take(self, event: Event) -> None:
        """Take one; it is called by the pump, so nothing here waits."""
        match event:
            case ElectionDue(groups):
                self._elections.due(groups)
            case ControlReceived():
                self._control.received(event)
            case DiskChanged():
                self._disks.changed(event)
                self._disk_log.changed(event)
            case ClockChanged():
                self._clock_log.changed(event)
            case BecameLeader(group, term):
                logger.info("became_leader %s", [group, term])
            case LostLeadership(group, term, why):
                logger.info("lost_leadership %s", [group, term, why])
            case MemberTooFarBehind(group, node, first):
                logger.info("member_too_far_behind %s", [group, node, first])
