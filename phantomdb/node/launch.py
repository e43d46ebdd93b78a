"""From settings to a serving node, and from a signal to its end.

Order: the peer door (formation needs it) and the admin door, formation or the directory's own, the
core, the links, leaders, the clients' door, the ready line. All doors listen from the beginning, so
that a port in use is told before anything is touched.
"""

import errno
import json
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import version
from ipaddress import ip_address

import trio

from phantomdb.base.errors import (
    Corrupted,
    DiskFailed,
    DiskFull,
    InUse,
    NotFormed,
    PhantomError,
    UsageError,
)
from phantomdb.base.settings import NodeSettings, Slots
from phantomdb.base.world import Address, Listener, Request, World
from phantomdb.cluster.formation import (
    Formation,
    Self,
    answer_as_member,
    check_list,
    cluster_of,
)
from phantomdb.consensus.elections import ElectionController
from phantomdb.core import Node, claim
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
from phantomdb.node.disks import Disks
from phantomdb.node.health import Member, NodeHealth, Starting
from phantomdb.node.housekeeping import Housekeeper
from phantomdb.node.stopping import stop_in_order
from phantomdb.serve import admin, listener, metrics, pg
from phantomdb.serve.door import PeerDoor
from phantomdb.serve.health import Health
from phantomdb.serve.peer import PeerLinks, receive_message, send_message
from phantomdb.session.decisions import Decisions
from phantomdb.wire import messages
from phantomdb.wire.messages import (
    CancelSession,
    DiskReport,
    Form,
    GroupReport,
    MalformedMessage,
    Message,
)

logger = logging.getLogger(__name__)

#: Between two reports of a leader to the others, in seconds.
REPORT_S = 0.5
#: What the last sync has at least, in seconds, when serving has used up the grace.
CLOSE_S = 1.0
#: Bits of a session's pid that name the session; the rest names the node.
PID_SLOT_BITS = 21


class PortInUse(InUse):
    """Another socket has an address that this node should listen on."""


class Launcher:
    """Starts one node, runs it, stops it."""

    def __init__(
        self, settings: NodeSettings, world: World, *, cores: int, descriptors: int
    ) -> None:
        self._settings = settings
        self._descriptors = descriptors
        self._slots = Slots.of(descriptors)
        self._world = world
        self._cores = cores
        self._drain = trio.Event()
        # Never set: peers are served to the end, for statements that still run need the links.
        self._until_ended = trio.Event()
        # Set while nobody is served: before the clients' door opens, and after it has closed.
        self._clients_gone = trio.Event()
        self._clients_gone.set()
        self._formation: Formation | None = None
        self._node: Node | None = None
        self._links: PeerLinks | None = None
        self._members: dict[int, Member] = {}
        self._clock_log = ClockLog()
        #: When a node that was told to stop should be gone; never while it was not.
        self._end_of_grace = math.inf
        self._health: Health

    async def run(self, say_ready: Callable[[str], None]) -> None:
        """Run until a signal ends it; `say_ready` is called with the ready line."""
        settings = self._settings
        for address in (settings.listen_pg, settings.listen_peer, settings.listen_admin):
            check_loopback(address)
        check_descriptors(self._descriptors)
        peer = await self._listen(settings.listen_peer)
        pg_door = await self._listen(settings.listen_pg)
        admin_door = await self._listen(settings.listen_admin)
        try:
            with self._world.on_terminate() as terminated, self._world.on_request() as asked:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._stop_on, terminated, nursery.cancel_scope)
                    nursery.start_soon(self._heed, asked)
                    await self._serve(nursery, (peer, pg_door, admin_door), say_ready)
        finally:
            with trio.CancelScope(shield=True):
                for door in (peer, pg_door, admin_door):
                    await door.aclose()
            # Last: links and sessions tell the core that they are gone as they end.
            if self._node is not None:
                left_s = self._end_of_grace - trio.current_time()
                self._node.close(min(self._settings.limits.grace_s, max(CLOSE_S, left_s)))
                logger.info("stopped")

    async def _stop_on(
        self, terminated: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        await terminated()
        logger.info("told to stop")
        self._drain.set()
        self._end_of_grace = trio.current_time() + self._settings.limits.grace_s
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = self._end_of_grace
            nursery.start_soon(self._skip_grace_on, terminated, nursery.cancel_scope)
            if self._node is not None and self._links is not None:
                gone = self._clients_gone.wait
                await stop_in_order(self._node, self._links, clients_gone=gone)
            nursery.cancel_scope.cancel()
        scope.cancel()

    async def _skip_grace_on(
        self, terminated: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        await terminated()
        scope.cancel()

    async def _heed(self, asked: Callable[[], Awaitable[Request]]) -> None:
        """Do what an operator asks by a signal, for ever."""
        while True:
            if await asked() is Request.RELOAD:
                logger.info("told to read again: nothing that this release reads can change")
            elif self._node is None:
                logger.info("told to report: not formed yet; missing %s", self._missing())
            else:
                report = {
                    "groups": [asdict(g) for g in self._node.status()],
                    "counts": self._node.stats(),
                }
                logger.info("told to report: %s", json.dumps(report))

    async def _listen(self, address: Address) -> Listener:
        try:
            return await self._world.network.listen(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"{address} is in use", hint="Choose another port.") from error
            raise UsageError(f"cannot listen on {address}: {error.strerror}") from error

    async def _serve(
        self,
        nursery: trio.Nursery,
        doors: tuple[Listener, Listener, Listener],
        say_ready: Callable[[str], None],
    ) -> None:
        peer_door, pg_door, admin_door = doors
        settings = self._settings
        door = PeerDoor(self._answer_formation, handshake_s=settings.limits.handshake_s)
        slots = self._slots
        nursery.start_soon(
            self._serve_door, peer_door, door.sessions(), slots.peer, self._until_ended
        )
        self._health = Starting(
            settings.name, pg_door.address, admin_door.address, missing=self._missing
        )
        asked = admin.sessions(lambda: self._health, settings.limits)
        nursery.start_soon(self._serve_door, admin_door, asked, slots.admin, self._until_ended)
        own = Self(b"", settings.name, peer_door.address, pg_door.address, admin_door.address)
        node = self._node = await self._open(own)
        await self._serve_node(nursery, node, door, own, pg_door, say_ready)

    def _missing(self) -> dict[str, str]:
        return self._formation.missing if self._formation else {}

    async def _open(self, own: Self) -> Node:
        """Open the directory, after it was formed if it was not before."""
        try:
            return self._open_core()
        except NotFormed:
            await self._form(own)
            return self._open_core()

    def _open_core(self) -> Node:
        settings = self._settings
        return Node.open(
            settings.directory,
            self._world,
            memory_bytes=settings.memory_bytes,
            sql_memory_bytes=settings.sql_memory_bytes,
            cores=self._cores,
            sessions_max=self._slots.sessions(settings.limits),
        )

    async def _form(self, own: Self) -> None:
        settings = self._settings
        uuid = claim(settings.directory, self._world.random.randbytes(16))
        own = Self(uuid, own.name, own.peer, own.pg, own.admin)
        members = check_list(settings.join or (own.peer,), own.peer)

        def accept(form: Form) -> None:
            number = next(m[0] for m in form.members if m[1] == uuid)
            listed = [(m[0], m[2], m[3]) for m in form.members]
            charter = messages.encode(form)
            Node.form(settings.directory, cluster_of(form), number, listed, charter=charter)
            logger.info("formed cluster %016x as node %d", cluster_of(form), number)

        formation = Formation(own, members, self._world, accept, send_message, receive_message)
        self._formation = formation
        await formation.run()

    def _answer_formation(self, message: Message) -> Message:
        if self._formation is not None:
            return self._formation.answer(message)
        # Formed in an earlier life, or not known yet: then the other asks again.
        form = messages.decode(self._node.charter) if self._node and self._node.charter else None
        if not isinstance(form, Form):
            raise MalformedMessage(f"{type(message).__name__} before this node is open")
        return answer_as_member(form, message)

    async def _serve_door(
        self, door: Listener, session: listener.Session, slots: int, drain: trio.Event
    ) -> None:
        await listener.serve(door, session, drain, slots=slots, grace_s=0.0)

    async def _serve_clients(
        self, door: Listener, session: listener.Session, slots: int, grace_s: float
    ) -> None:
        gone = self._clients_gone = trio.Event()
        await listener.serve(door, session, self._drain, slots=slots, grace_s=grace_s)
        gone.set()

    async def _serve_node(
        self,
        nursery: trio.Nursery,
        node: Node,
        door: PeerDoor,
        own: Self,
        pg_door: Listener,
        say_ready: Callable[[str], None],
    ) -> None:
        limits = self._settings.limits
        links = self._links = PeerLinks(node, self._world, limits, version("phantomdb"))
        self._members = {
            number: Member(number, name, address, "", "")
            for number, (name, address) in node.members.items()
        }
        self._members[node.id] = Member(
            node.id, node.members[node.id][0], str(own.peer), str(own.pg), str(own.admin)
        )
        health = NodeHealth(
            node,
            lambda: self._members,
            lambda: links.connected,
            metrics.exposition(node.stats, node.status),
            disks := Disks(node),
            is_stopping=self._drain.is_set,
        )
        self._health = health
        elections = ElectionController(
            self._world,
            node.id,
            sorted(node.members),
            node.campaign,
            lambda: disks.is_fit() and not self._drain.is_set(),
        )
        node.on_event = lambda event: self._told(node, event, elections, health)
        decisions = Decisions(node, lambda pid, secret: self._cancel(node, pid, secret))
        nursery.start_soon(node.pump)
        nursery.start_soon(node.listen)
        nursery.start_soon(node.alarm)
        nursery.start_soon(elections.run)
        door.open_links(links)
        for number, (_, address) in node.members.items():
            if number != node.id:
                nursery.start_soon(links.dial, number, Address.parse(address))
        await self._wait_for_leaders(node)
        house = Housekeeper(node, self._members)
        nursery.start_soon(house.announce, self._members[node.id])
        nursery.start_soon(house.run)
        nursery.start_soon(self._report, node, links, health)
        clients = pg.sessions(node, decisions.decide, limits, self._drain)
        nursery.start_soon(self._serve_clients, pg_door, clients, self._slots.pg, limits.grace_s)
        health.is_serving = True
        ready = {
            "node": self._members[node.id].name,
            "pg": str(own.pg),
            "peer": str(own.peer),
            "admin": str(own.admin),
        }
        try:
            say_ready(json.dumps(ready))
        except OSError as error:
            logger.warning("nobody could be told on stdout: %s", error.strerror)
        logger.info("serving at most %d sessions", self._slots.sessions(limits))

    async def _wait_for_leaders(self, node: Node) -> None:
        """Wait until every group has a leader: before that no statement can be answered."""
        while not all(group.leader for group in node.status()):
            await trio.sleep(0.02)

    def _told(
        self, node: Node, event: Event, elections: ElectionController, health: NodeHealth
    ) -> None:
        match event:
            case ElectionDue(groups):
                elections.due(groups)
            case DiskChanged():
                health.disks.changed(event)
            case ClockChanged():
                self._clock_log.changed(event)
            case ControlReceived(peer, message):
                self._control(node, health, peer, message)
            case BecameLeader(group, term):
                logger.info("became_leader %s", [group, term])
            case LostLeadership(group, term, why):
                logger.info("lost_leadership %s", [group, term, why])
            case MemberTooFarBehind(group, member, first):
                logger.info("member_too_far_behind %s", [group, member, first])

    def _control(self, node: Node, health: NodeHealth, peer: int, message: bytes) -> None:
        try:
            decoded = messages.decode(message)
            if isinstance(decoded, CancelSession):
                node.cancel_by_key(decoded.pid, decoded.secret)
            elif isinstance(decoded, GroupReport):
                health.heard(decoded.groups)
            elif isinstance(decoded, DiskReport):
                health.disks.heard(peer, decoded)
        except (MalformedMessage, TypeError, ValueError) as error:
            logger.warning("peer %d: %s", peer, error)

    async def _report(self, node: Node, links: PeerLinks, health: NodeHealth) -> None:
        """Tell the others of this node's disk, and of the groups that it leads.

        Only a leader knows its replicas.
        """
        while True:
            await trio.sleep(REPORT_S)
            health.disks.look()
            told: list[Message] = [health.disks.report()]
            groups = health.report()
            if groups:
                told.append(GroupReport(groups))
            for peer in links.connected:
                for message in told:
                    node.send_control(peer, messages.encode(message))

    async def _cancel(self, node: Node, pid: int, secret: int) -> None:
        """End a session's statement, here or on the node that its pid names."""
        number = pid >> PID_SLOT_BITS
        if number == node.id:
            node.cancel_by_key(pid, secret)
        elif number in node.members:
            node.send_control(number, messages.encode(CancelSession(pid, secret)))


def check_loopback(address: Address) -> None:
    """Refuse an address that others could reach: there is no TLS yet."""
    if not _is_loopback(address.host):
        raise UsageError(
            f"{address} is not a loopback address",
            hint="Nodes speak without encryption so far; use 127.0.0.1.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # A name: who it belongs to is for others to say.


def check_descriptors(descriptors: int) -> None:
    """Refuse a limit of descriptors with which a node would not get far."""
    if descriptors < Slots.DESCRIPTORS_MIN:
        raise UsageError(
            f"this process may open {descriptors} files and connections",
            hint=f"It takes {Slots.DESCRIPTORS_MIN} at least; see `ulimit -n`.",
        )


#: Exit codes of a node (operations): what each class of error ends it with.
EXIT_CODES: tuple[tuple[type[PhantomError], int], ...] = (
    (UsageError, 2),
    (PortInUse, 8),
    (InUse, 5),
    (Corrupted, 6),
    (DiskFull, 7),
    (DiskFailed, 7),
)


def exit_code(error: PhantomError) -> int:
    """Return the exit code for an error that ends a node; 3 is "refused"."""
    for cls, code in EXIT_CODES:
        if isinstance(error, cls):
            return code
    return 3
