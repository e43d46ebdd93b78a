"""Where each event goes: to whom it concerns, and to the log.

Until the node's core is open, there are only those of doors.
"""

import logging

from phantomdb.cluster.control import Control
from phantomdb.cluster.disks import Disks
from phantomdb.cluster.greetings import Greetings
from phantomdb.cluster.links import Links
from phantomdb.consensus.elections import ElectionController
from phantomdb.core.events import (
    AcceptFailed,
    BecameLeader,
    ClientsGone,
    ClockChanged,
    ControlReceived,
    DiskChanged,
    DoorFull,
    ElectionDue,
    Event,
    FirstHeard,
    LinkDown,
    LinkUp,
    LostLeadership,
    MemberTooFarBehind,
    SessionGone,
    SessionWants,
    SlowTurn,
)
from phantomdb.node.clocks import ClockLog
from phantomdb.node.disks import DiskLog
from phantomdb.node.doors.listening import Doors
from phantomdb.node.stopping import Stopping
from phantomdb.session.decisions import Decisions

logger = logging.getLogger(__name__)


class DoorEvents:
    """Takes what the doors tell, in every life of a node."""

    def __init__(self, doors: Doors, greetings: Greetings, stopping: Stopping) -> None:
        self._doors = doors
        self._greetings = greetings
        self._stopping = stopping

    def take(self, event: Event) -> None:
        """Take one; nothing here waits."""
        match event:
            case FirstHeard():
                self._greetings.heard(event)
            case DoorFull() | AcceptFailed():
                self._doors.tell(event)
            case ClientsGone():
                self._stopping.clients_gone.set()
            case SlowTurn(ms, took):
                logger.warning("a turn of the reactor took %d ms: %s", ms, took)
            case _:
                raise AssertionError(f"{event} before there is a core")


class Events:
    """Takes what the reactor tells of a node that is open."""

    def __init__(
        self,
        doors: DoorEvents,
        links: Links,
        decisions: Decisions,
        elections: ElectionController,
        control: Control,
        *,
        disks: Disks,
        disk_log: DiskLog,
    ) -> None:
        self._doors = doors
        self._links = links
        self._decisions = decisions
        self._elections = elections
        self._control = control
        self._disks = disks
        self._disk_log = disk_log
        self._clock_log = ClockLog()

    def take(self, event: Event) -> None:
        """Take one; nothing here waits."""
        match event:
            case SessionWants():
                self._decisions.wanted(event)
            case SessionGone():
                self._decisions.gone(event)
            case LinkUp():
                self._links.came(event)
            case LinkDown():
                self._links.went(event)
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
            case _:
                self._doors.take(event)
