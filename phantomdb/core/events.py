"""What a node's reactor tells: each event as a value, whoever it is for.

It comes as a tuple that begins with its kind (`rust_core/py/src/reactor.rs`); what happened in the
core is CBOR within it (`encode_event`, `encode_disk` and `encode_clock` in
`rust_core/node/src/control.rs`). Both are of one wheel, so a kind that is not known here is a bug.
"""

from dataclasses import dataclass
from typing import Any

import cbor2

from phantomdb.core.session_events import SessionEvent, decode_session_event


@dataclass(frozen=True, slots=True)
class ElectionDue:
    """Groups whose election timer has run out: somebody should campaign."""

    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BecameLeader:
    """A group is led here now."""

    group: int
    term: int


@dataclass(frozen=True, slots=True)
class LostLeadership:
    """A group is led here no longer; `why` is the core's word for it."""

    group: int
    term: int
    why: str


@dataclass(frozen=True, slots=True)
class MemberTooFarBehind:
    """A member misses what is before `first`, and no log has it any more."""

    group: int
    node: int
    first: int


@dataclass(frozen=True, slots=True)
class DiskChanged:
    """The disk has changed its `room`: `enough`, `short` or `none`; sizes in bytes."""

    room: str
    free: int
    total: int
    reserve: int


@dataclass(frozen=True, slots=True)
class ClockChanged:
    """A step of the clock: `what` is `starts`, `asks`, `waits`, `settled` or `forward`."""

    what: str
    ms: int


@dataclass(frozen=True, slots=True)
class ControlReceived:
    """A message of a peer's control plane, not read yet: a peer may send anything."""

    peer: int
    message: bytes


@dataclass(frozen=True, slots=True)
class SessionWants:
    """A session wants something decided."""

    session: int
    wanted: SessionEvent


@dataclass(frozen=True, slots=True)
class SessionGone:
    """A session that wanted something is gone: nobody waits for it any more."""

    session: int


@dataclass(frozen=True, slots=True)
class FirstHeard:
    """The first message of a connection at the peer door, not read yet, and whence it comes.

    `certified` is the node that its certificate names; none where nothing is encrypted.
    """

    connection: int
    whence: str
    certified: str | None
    message: bytes


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link to a peer is up."""

    peer: int
    link: bytes


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link is down, or what should have become one has come to nothing."""

    peer: int
    link: bytes
    why: str


@dataclass(frozen=True, slots=True)
class DoorFull:
    """A door, by its place among those that were opened, has no room for more connections."""

    door: int


@dataclass(frozen=True, slots=True)
class AcceptFailed:
    """A door could not take a connection just now."""

    door: int
    why: str


@dataclass(frozen=True, slots=True)
class ClientsGone:
    """The doors of clients are closed, and none is left."""


@dataclass(frozen=True, slots=True)
class SlowTurn:
    """A turn of the reactor took so many milliseconds, and which of its parts."""

    ms: int
    took: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of what was asked for under a token: CBOR."""

    token: int
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """Who was dialled has answered; the connection waits for what becomes of it.

    `certified` is the node that its certificate names; none where nothing is encrypted.
    """

    token: int
    connection: int
    certified: str | None
    message: bytes


@dataclass(frozen=True, slots=True)
class DialFailed:
    """Nobody answers there, or not in time."""

    token: int
    why: str


#: What ends a wait.
Reply = Ended | Answered | DialFailed

Event = (
    ElectionDue
    | BecameLeader
    | LostLeadership
    | MemberTooFarBehind
    | DiskChanged
    | ClockChanged
    | ControlReceived
    | SessionWants
    | SessionGone
    | FirstHeard
    | LinkUp
    | LinkDown
    | DoorFull
    | AcceptFailed
    | ClientsGone
    | SlowTurn
)


def decode_event(told: tuple[Any, ...]) -> Event | Reply:
    """Read one."""
    kind, *fields = told
    match kind:
        case "session":
            session, *wanted = fields
            return SessionWants(session, decode_session_event(*wanted))
        case "election_due":
            return ElectionDue(tuple(fields[0]))
        case "core":
            return _of_core(fields[0])
    found = _PLAIN.get(kind)
    assert found is not None, f"an event of kind {kind}"
    return found(*fields)


_PLAIN: dict[str, type[Event | Reply]] = {
    "control": ControlReceived,
    "session_gone": SessionGone,
    "first": FirstHeard,
    "link_up": LinkUp,
    "link_down": LinkDown,
    "door_full": DoorFull,
    "accept_failed": AcceptFailed,
    "clients_gone": ClientsGone,
    "slow_turn": SlowTurn,
    "ended": Ended,
    "answer": Answered,
    "dial_failed": DialFailed,
}


def _of_core(encoded: bytes) -> Event:
    kind, *fields = cbor2.loads(encoded)
    match kind:
        case "became_leader":
            return BecameLeader(*fields)
        case "lost_leadership":
            return LostLeadership(*fields)
        case "member_too_far_behind":
            return MemberTooFarBehind(*fields)
        case "disk_room":
            return DiskChanged(*fields)
        case "clock":
            return ClockChanged(*fields)
    raise AssertionError(f"an event of kind {kind}")
