"""What the core tells without having been asked: of its groups, its disk, its clock, its peers.

The core writes them (`encode_event`, `encode_disk` and `encode_clock` in
`rust_core/node/src/control.rs`): arrays led by their kind. Both are of one wheel, so a kind that is
not known here is a bug.
"""

from dataclasses import dataclass

import cbor2


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


Event = (
    ElectionDue
    | BecameLeader
    | LostLeadership
    | MemberTooFarBehind
    | DiskChanged
    | ClockChanged
    | ControlReceived
)


def decode_event(encoded: bytes) -> Event:
    """Read one."""
    kind, *fields = cbor2.loads(encoded)
    match kind:
        case "election_due":
            return ElectionDue(tuple(fields[0]))
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
