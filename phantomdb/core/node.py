"""`Node`: the core of a formed directory, served by a reactor: what it is, shows and does.

What it shows is as of a moment ago, and at least as new as whatever was answered before; nobody
waits for it.

Cancelling a wait for rows forgets the answer. A write that was cancelled may still happen.
"""

from collections.abc import Sequence
from typing import Any, cast

import cbor2

from phantomdb import _core  # noqa: TID251 - this package is its door
from phantomdb.base.errors import NotFormed, PhantomError, Refused
from phantomdb.base.world import World
from phantomdb.core.answers import answers
from phantomdb.core.reactor import Reactor
from phantomdb.core.rows import Row, RowSpan, RowWrite
from phantomdb.core.session_events import Remark
from phantomdb.core.status import GroupStatus, decode_status


def claim(directory: str, fresh: bytes) -> bytes:
    """Return the name of a directory before it is formed: `fresh`, or the one it was given first.

    Durable on return. Raises `PhantomError` if the directory cannot be made or read.
    """
    with answers():
        return bytes(_core.NodeCore.claim(directory, fresh))


class Node:
    """The core of one node."""

    def __init__(self, reactor: Reactor, identity: bytes) -> None:
        """`identity` is as the core writes it."""
        self._reactor = reactor
        self._core = reactor.core
        cluster, node, incarnation, members, charter = cbor2.loads(identity)
        self.cluster: int = cluster
        self.id: int = node
        self.incarnation: int = incarnation
        #: Node id to (name, peer address).
        self.members: dict[int, tuple[str, str]] = {n: (name, at) for n, name, at in members}
        #: The message that founded the cluster; empty if the directory holds none.
        self.charter: bytes = charter

    @staticmethod
    def form(
        directory: str,
        cluster: int,
        node: int,
        members: Sequence[tuple[int, str, str]],
        *,
        charter: bytes,
    ) -> None:
        """Make a directory a node of a cluster, once in its life; durable on return.

        `members` are (node id, name, peer address); `charter` is kept beside them.
        """
        with answers():
            formation = cbor2.dumps([cluster, node, [list(member) for member in members]])
            _core.NodeCore.form(directory, formation, charter)

    @classmethod
    def open(
        cls,
        directory: str,
        reactor: Reactor,
        world: World,
        *,
        memory_bytes: int,
        sql_memory_bytes: int,
        cores: int,
        sessions_max: int,
    ) -> "Node":
        """Open a formed directory, which replays its log, and give it to the reactor.

        The engine has `memory_bytes`, and all statements together `sql_memory_bytes`.

        Raises `NotFormed`, `InUse`, `Corrupted`.
        """
        seed = int.from_bytes(world.random.randbytes(8), "big")
        with answers():
            settings = cbor2.dumps([memory_bytes, cores, sessions_max, sql_memory_bytes])
            try:
                core = _core.NodeCore.open(directory, settings, seed)
            except _core.CoreError as error:
                if error.args[0] == Refused.sqlstate:
                    raise NotFormed(f"{directory} belongs to no cluster yet") from error
                raise
            node = cls(reactor, core.identity())
            reactor.core.attach(core)
        return node

    # What it shows.

    def hlc(self) -> int:
        """Return the hybrid clock."""
        return self._core.hlc()

    def status(self) -> list[GroupStatus]:
        """Return what is known of each group."""
        return decode_status(self._core.status())

    def stats(self) -> dict[str, int]:
        """Return counters and sizes by name."""
        return dict(cbor2.loads(self._core.stats())) | self._core.counters()

    def led(self) -> list[int]:
        """Return the groups that this node leads."""
        return [group.id for group in self.status() if group.leader == self.id]

    async def look(self) -> None:
        """Wait until what the node shows is not older than this call."""
        await self._reactor.ask(self._core.look)

    # Groups.

    def campaign(self, groups: Sequence[int]) -> None:
        """Begin elections; where that is not possible, nothing happens."""
        self._core.campaign(list(groups))

    async def leave(self, group: int) -> bool:
        """Hand leadership of a group over as soon as a member misses nothing.

        Nothing is proposed in it until then. False if it is not led here, or nobody could lead it.
        """
        return bool(await self._reactor.ask(lambda token: self._core.leave(token, group)))

    # Other nodes.

    def send_control(self, peer: int, message: bytes) -> None:
        """Send a message of the control plane; it is lost if the peer is away."""
        self._core.control(peer, message)

    # Rows of system tables.

    async def barrier(self, group: int) -> None:
        """Wait until this node has applied all that was committed in a group before the call."""
        await self._reactor.ask(lambda token: self._core.barrier(token, group))

    async def read_rows(self, group: int, spans: Sequence[RowSpan]) -> list[list[Row]]:
        """Read rows at a group's leader: for each span its rows in key order.

        Raises `NoLeader` after 10 s without one.
        """
        encoded = cbor2.dumps([[span.relation, span.key] for span in spans])
        found = await self._reactor.ask(lambda token: self._core.read_rows(token, group, encoded))
        return [[Row(*row) for row in rows] for rows in cast("list[list[Any]]", found)]

    async def write_rows(self, group: int, writes: Sequence[RowWrite]) -> int:
        """Write rows in one entry and return its commit timestamp.

        Raises `Conflict` if a key's version is not the one seen, `UnknownOutcome` if leadership
        went first, `NoLeader` after 10 s without one.
        """
        encoded = cbor2.dumps([[w.relation, w.key, w.value, w.seen] for w in writes])
        at = await self._reactor.ask(lambda token: self._core.write_rows(token, group, encoded))
        return cast("int", at)

    # Sessions.

    def plan_session(self, session: int, event: int, plan: bytes) -> None:
        """Answer a `PlanWanted`."""
        self._core.resume(session, event, cbor2.dumps([0, plan]))

    def finish_session(self, session: int, event: int, remarks: Sequence[Remark]) -> None:
        """Answer an event whose work is done."""
        notices = [[remark.sqlstate, remark.message, remark.hint] for remark in remarks]
        self._core.resume(session, event, cbor2.dumps([1, notices]))

    def fail_session(self, session: int, event: int, error: PhantomError) -> None:
        """Answer an event that could not be carried out."""
        fields = [error.sqlstate, error.message, error.hint]
        self._core.resume(session, event, cbor2.dumps([2, fields]))

    def cancel_by_key(self, pid: int, secret: int) -> None:
        """End the running statement of the session with that pid, if the secret is right."""
        self._core.cancel_by_key(pid, secret)
