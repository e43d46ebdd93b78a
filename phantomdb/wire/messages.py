"""Control messages between nodes: CBOR arrays, led by a tag; the order of fields is the protocol.

Tags are never reused. A newer node may append fields to a message, which an older one leaves out;
an appended field has a default, so that the older form still reads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform, get_origin

import cbor2

from phantomdb.base.world import Address

#: The newest version of the protocol between nodes that this release speaks, and the oldest: below
#: 3 nodes knew no promises, and would vote over them.
PROTOCOL_MAX = 3
PROTOCOL_MIN = 3
#: A control message beyond this is not one of ours, in bytes.
MESSAGE_BYTES_MAX = 1 << 20


#: A member's name and its three addresses.
_MEMBER_TEXTS = 4
#: A formation is kept with names and addresses of at most so many bytes.
_TEXT_BYTES_MAX = (1 << 16) - 1
#: The core takes 64 bits at most.
_NUMBER_MAX = (1 << 64) - 1
#: Process ids and secrets of sessions have 32, as PostgreSQL's protocol does.
#: So have ids of nodes and the count of their starts.
_KEY_MAX = (1 << 32) - 1


class MalformedMessage(Exception):
    """Bytes that are no message: the link that they came by is closed."""


class Message:
    """What all messages have: a tag."""

    tag: ClassVar[int]


_M = TypeVar("_M", bound=Message)
_BY_TAG: dict[int, type[Message]] = {}


@dataclass_transform(frozen_default=True)
def message(tag: int) -> Callable[[type[_M]], type[_M]]:
    """Make a class a message: frozen, slotted, registered under its tag."""

    def register(cls: type[_M]) -> type[_M]:
        made = dataclass(frozen=True, slots=True)(cls)
        made.tag = tag
        assert tag not in _BY_TAG, f"tag {tag} belongs to {_BY_TAG[tag]}"
        _BY_TAG[tag] = made
        return made

    return register


def encode(value: Message) -> bytes:
    """Write one message; appended fields at their default are left out: it is as older ones are."""
    known = fields(cast("Any", value))
    values = [getattr(value, field.name) for field in known]
    while values and values[-1] == known[len(values) - 1].default:
        values.pop()
    return cbor2.dumps([value.tag, *values])


def decode(frame: bytes) -> Message:
    """Read one message; whatever a peer can get wrong raises `MalformedMessage`."""
    try:
        tag, *values = cbor2.loads(frame)
        cls = _BY_TAG[tag]
        known = fields(cast("Any", cls))
        made = cls(*values[: len(known)])
        _check_types(made)
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"{len(frame)} bytes starting {frame[:8].hex()}") from error
    return made


def _check_types(value: Message) -> None:
    for field in fields(cast("Any", value)):
        found = getattr(value, field.name)
        wanted = get_origin(field.type) or cast("type", field.type)
        if not isinstance(found, wanted) or (isinstance(found, bool) and wanted is not bool):
            raise TypeError(f"{field.name} is {type(found).__name__}")
        if isinstance(found, int) and not 0 <= found <= _NUMBER_MAX:
            raise ValueError(f"{field.name} is {found}")


def _check_texts(texts: Sequence[object]) -> None:
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name or an address is no text")
    if any(len(str(text).encode()) > _TEXT_BYTES_MAX for text in texts):
        raise ValueError(f"a name or an address has more than {_TEXT_BYTES_MAX} bytes")


@message(tag=1)
class Probe(Message):
    """Ask an address of the `--join` list who it is; answered by `Candidate`."""

    uuid: bytes
    list_hash: bytes
    protocol_min: int
    protocol_max: int


@message(tag=2)
class Candidate(Message):
    """Who a node is: its own random name, and its cluster if it has one (else empty)."""

    uuid: bytes
    cluster: bytes
    list_hash: bytes
    protocol_min: int
    protocol_max: int
    name: str
    peer_address: str
    pg_address: str
    admin_address: str

    def __post_init__(self) -> None:
        """Refuse a member that no formation could hold."""
        _check_texts([self.name, self.peer_address, self.pg_address, self.admin_address])


@dataclass(frozen=True, slots=True)
class FormedMember:
    """A node of a formation: its number, its random name, its name for people, its addresses."""

    node: int
    uuid: bytes
    name: str
    peer: str
    pg: str
    admin: str


@message(tag=3)
class Form(Message):
    """The cluster to be: sent by the lowest address; its hash is the cluster id.

    `members` are [node id, uuid, name, peer, pg, admin address] in node id order.
    """

    nonce: bytes
    list_hash: bytes
    members: list[Any]

    def __post_init__(self) -> None:
        """Refuse members of another shape: they are read before the sender is trusted."""
        for number, uuid, *texts in self.members:
            shapes = isinstance(number, int), isinstance(uuid, bytes), len(texts) == _MEMBER_TEXTS
            if not all(shapes) or not all(isinstance(text, str) for text in texts):
                raise TypeError("a member is [node id, uuid, name, peer, pg, admin address]")
            _check_texts(texts)

    def listed(self) -> list[FormedMember]:
        """Return the members."""
        return [FormedMember(*member) for member in self.members]


@message(tag=4)
class Formed(Message):
    """The formation with this hash is durable here; a node accepts one in its life."""

    cluster: bytes
    accepted: bool


@message(tag=5)
class Hello(Message):
    """The first message of each stream of a peer link, both ways, before any frame.

    `link` is drawn by the side that dials: the streams of one link carry the same. `life` is drawn
    by each process as it starts: two with one `incarnation` are two processes with one identity.
    `address` is where the sender's peer door is now, or nothing. `features` are what its release
    can read, a bit each: what not all members name is not proposed.
    """

    protocol_min: int
    protocol_max: int
    software: str
    cluster: bytes
    node: int
    incarnation: int
    link: bytes
    stream: int
    hlc: int
    life: bytes = b""
    address: str = ""
    features: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers and addresses that no node has."""
        if max(self.node, self.incarnation) > _KEY_MAX:
            raise ValueError("a node id and an incarnation have 32 bits")
        if self.address:
            Address.parse(self.address)


@message(tag=6)
class Refusal(Message):
    """Why a link is not wanted: WRONG_CLUSTER, WRONG_VERSION, NOT_MEMBER, TAKEN.

    Protocol 1 also had CLOCK: clocks are compared over links now, and no longer by handshakes.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class LedGroup:
    """What a leader knows of a group: indexes of its log, what each node has applied among them."""

    group: int
    term: int
    commit: int
    applied: dict[int, int]


@message(tag=8)
class GroupReport(Message):
    """What a leader knows of its groups: [group, term, commit, [[node, applied]..]] each."""

    groups: list[Any]

    @staticmethod
    def of(groups: Sequence[LedGroup]) -> "GroupReport":
        """Return the report of these groups."""
        return GroupReport(
            [
                [g.group, g.term, g.commit, [list(pair) for pair in g.applied.items()]]
                for g in groups
            ]
        )

    def led(self) -> list[LedGroup]:
        """Return the groups; raises `ValueError` or `TypeError` for what is no report."""
        led = []
        for group, term, commit, members in self.groups:
            numbers = [group, term, commit, *(number for pair in members for number in pair)]
            if not all(type(number) is int for number in numbers):
                raise TypeError("a report of a group is numbers")
            if not all(0 <= number <= _NUMBER_MAX for number in numbers):
                raise ValueError("a report of a group has numbers that no log reaches")
            led.append(LedGroup(group, term, commit, dict(members)))
        return led


@message(tag=9)
class DiskReport(Message):
    """What a node knows of its disk, in bytes; `is_short` while less than the reserve is free.

    `pending_ms` is how long it has not answered a write or a sync. Beside the disk, what statements
    hold of the node's memory, in bytes, and may hold.
    """

    is_short: bool
    free: int
    total: int
    reserve: int
    pending_ms: int = 0
    sql_held: int = 0
    sql_limit: int = 0


@message(tag=7)
class CancelSession(Message):
    """End the running statement of a session of the receiver, if the secret is right."""

    pid: int
    secret: int

    def __post_init__(self) -> None:
        """Refuse numbers that no session has."""
        if max(self.pid, self.secret) > _KEY_MAX:
            raise ValueError("a process id and a secret have 32 bits")
