"""What the core knows of its groups, as it was when it was asked.

The core writes it (`encode_status` in `rust_core/node/src/control.rs`); names and order are those
of there, and of the report that an operator asks for by a signal.
"""

from dataclasses import dataclass

import cbor2


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A replica of a group that is led here: indexes of its log and of what it has applied."""

    node: int
    matched: int
    applied: int
    #: The log no longer has what it misses.
    too_far_behind: bool


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A group's replica on this node."""

    id: int
    #: The node that leads it; 0 while nobody is known to.
    leader: int
    term: int
    role: str
    commit: int
    applied: int
    #: Of all that was applied: replicas that applied the same have the same.
    hash: int
    too_far_behind: bool
    #: All replicas if this node leads; else none, for only a leader knows them.
    members: tuple[MemberStatus, ...]


def decode_status(encoded: bytes) -> list[GroupStatus]:
    """Read what the core says of all of its groups."""
    return [
        GroupStatus(**group | {"members": tuple(MemberStatus(**m) for m in group["members"])})
        for group in cbor2.loads(encoded)
    ]
