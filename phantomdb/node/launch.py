"""From settings to a serving node, and from a signal to its end.

Order: the peer door (formation needs it) and the admin door, formation or the directory's own, the
core, the links, leaders, the clients' door, the ready line. All doors listen from the beginning, so
that a port in use is told before anything is touched.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import version

import trio

from phantomdb.base.settings import NodeSettings, Slots
from phantomdb.base.world import Address, Listener, Request, World
from phantomdb.cluster.cancels import Cancels
from phantomdb.cluster.control import Control
from phantomdb.cluster.disks import Disks
from phantomdb.cluster.formation import Self
from phantomdb.cluster.joining import Joining
from phantomdb.cluster.membership import Member, Membership
from phantomdb.cluster.reports import Reports
from phantomdb.consensus.elections import ElectionController
from phantomdb.core import Node
from phantomdb.node.disks import DiskLog
from phantomdb.node.doors import Doors, check_descriptors, check_loopback
from phantomdb.node.events import Events
from phantomdb.node.health import NodeHealth, Starting
from phantomdb.node.housekeeping import Housekeeper
from phantomdb.node.stopping import Stopping
from phantomdb.serve import admin, listener, metrics, pg
from phantomdb.serve.door import PeerDoor
from phantomdb.serve.health import Health
from phantomdb.serve.peer import PeerLinks, receive_message, send_message
from phantomdb.session.decisions import Decisions

logger = logging.getLogger(__name__)

#: Between two looks whether every group has a leader, in seconds.
LEADERS_LOOK_S = 0.02


class Launcher:
    """Starts one node, runs it, stops it."""

    def __init__(
        self, settings: NodeSettings, world: World, *, cores: int, descriptors: int
    ) -> None:
        self._settings = settings
        self._world = world
        self._cores = cores
        self._descriptors = descriptors
        self._slots = Slots.of(descriptors)
        self._joining = Joining(
            settings, world, self._open_core, send=send_message, receive=receive_message
        )
        self._stopping = Stopping(settings.limits.grace_s)
        # Never set: peers are served to the end, for statements that still run need the links.
        self._until_ended = trio.Event()
        self._node: Node | None = None
        self._links: PeerLinks | None = None
        self._health: Health

    async def run(self, say_ready: Callable[[str], None]) -> None:
        """Run until a signal ends it; `say_ready` is called with the ready line."""
        settings = self._settings
        for address in (settings.listen_pg, settings.listen_peer, settings.listen_admin):
            check_loopback(address)
        check_descriptors(self._descriptors)
        doors = await Doors.open(settings, self._world)
        try:
            with self._world.on_terminate() as terminated, self._world.on_request() as asked:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._stop_on, terminated, nursery.cancel_scope)
                    nursery.start_soon(self._heed, asked)
                    await self._start(nursery, doors, say_ready)
        finally:
            with trio.CancelScope(shield=True):
                await doors.close()
            # Last: links and sessions tell the core that they are gone as they end.
            if self._node is not None:
                self._node.close(self._stopping.patience_s())
                logger.info("stopped")

    async def _start(
        self, nursery: trio.Nursery, doors: Doors, say_ready: Callable[[str], None]
    ) -> None:
        settings, slots = self._settings, self._slots
        own = Self(b"", settings.name, doors.peer.address, doors.pg.address, doors.admin.address)
        self._health = Starting(own.name, own.pg, own.admin, missing=lambda: self._joining.missing)
        peers = PeerDoor(self._joining.answer, handshake_s=settings.limits.handshake_s)
        nursery.start_soon(self._serve, doors.peer, peers.sessions(), slots.peer)
        operators = admin.sessions(lambda: self._health, settings.limits)
        nursery.start_soon(self._serve, doors.admin, operators, slots.admin)

        node = self._node = await self._joining.join(own)
        links = self._links = PeerLinks(node, self._world, settings.limits, version("phantomdb"))
        membership = Membership(node, own)
        disks = Disks(node)
        reports = Reports(node, disks)
        cancels = Cancels(node)
        health = self._health = NodeHealth(
            node,
            membership,
            reports,
            disks,
            connected=lambda: links.connected,
            metrics=metrics.exposition(node.stats, node.status),
            is_stopping=self._stopping.begun.is_set,
        )
        disk_log = DiskLog(disks)
        control = Control(reports, disks, cancels)
        self._drive(nursery, node, control, disks, disk_log)
        self._link(nursery, node, links, peers)
        await _wait_for_leaders(node)
        house = Housekeeper(node, membership)
        nursery.start_soon(house.announce)
        nursery.start_soon(house.run)
        nursery.start_soon(disk_log.run)
        nursery.start_soon(reports.run, lambda: links.connected)
        decisions = Decisions(node, cancels.asked)
        clients = pg.sessions(node, decisions.decide, settings.limits, self._stopping.begun)
        nursery.start_soon(self._serve_clients, doors.pg, clients)
        health.is_serving = True
        self._say(membership.own, say_ready)

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

    def _drive(
        self,
        nursery: trio.Nursery,
        node: Node,
        control: Control,
        disks: Disks,
        disk_log: DiskLog,
    ) -> None:
        """Let the core run, and hear what it tells."""
        elections = ElectionController(
            self._world,
            node.id,
            sorted(node.members),
            node.campaign,
            lambda: disks.is_fit() and not self._stopping.begun.is_set(),
        )
        node.on_event = Events(elections, control, disks, disk_log).take
        for task in (node.pump, node.listen, node.alarm, elections.run):
            nursery.start_soon(task)

    def _link(self, nursery: trio.Nursery, node: Node, links: PeerLinks, peers: PeerDoor) -> None:
        peers.open_links(links)
        for number, (_, address) in node.members.items():
            if number != node.id:
                nursery.start_soon(links.dial, number, Address.parse(address))

    async def _serve(self, door: Listener, session: listener.Session, slots: int) -> None:
        await listener.serve(door, session, self._until_ended, slots=slots, grace_s=0.0)

    async def _serve_clients(self, door: Listener, session: listener.Session) -> None:
        gone = self._stopping.clients_gone = trio.Event()
        slots, grace_s = self._slots.pg, self._settings.limits.grace_s
        await listener.serve(door, session, self._stopping.begun, slots=slots, grace_s=grace_s)
        gone.set()

    def _say(self, own: Member, say_ready: Callable[[str], None]) -> None:
        ready = {"node": own.name, "pg": own.pg, "peer": own.peer, "admin": own.admin}
        try:
            say_ready(json.dumps(ready))
        except OSError as error:
            logger.warning("nobody could be told on stdout: %s", error.strerror)
        sessions = self._slots.sessions(self._settings.limits)
        logger.info("serving at most %d sessions", sessions)

    async def _heed(self, asked: Callable[[], Awaitable[Request]]) -> None:
        """Do what an operator asks by a signal, for ever."""
        while True:
            if await asked() is Request.RELOAD:
                logger.info("told to read again: nothing that this release reads can change")
            elif self._node is None:
                missing = self._joining.missing
                logger.info("told to report: not formed yet; missing %s", missing)
            else:
                groups = [asdict(group) for group in self._node.status()]
                report = {"groups": groups, "counts": self._node.stats()}
                logger.info("told to report: %s", json.dumps(report))

    async def _stop_on(
        self, terminated: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        await terminated()
        logger.info("told to stop")
        await self._stopping.run(self._node, self._links, skip=terminated)
        scope.cancel()


async def _wait_for_leaders(node: Node) -> None:
    """Wait until every group has a leader: before that no statement can be answered."""
    while not all(group.leader for group in node.status()):
        await trio.sleep(LEADERS_LOOK_S)
