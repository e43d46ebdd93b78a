"""From settings to a serving node, and from a signal to its end.

Order: the reactor with the peer door (formation needs it) and the admin door, formation or the
directory's own, the core, the links, leaders, the clients' doors, the ready line. All doors listen
from the beginning, so that a port in use is told before anything is touched.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import version

import trio

from phantomdb.base.settings import NodeSettings, Slots
from phantomdb.base.world import Address, Request, World
from phantomdb.cluster.cancels import Cancels
from phantomdb.cluster.control import Control
from phantomdb.cluster.dialling import Dialler
from phantomdb.cluster.disks import Disks
from phantomdb.cluster.formation import Self
from phantomdb.cluster.greetings import Greetings
from phantomdb.cluster.joining import Joining
from phantomdb.cluster.links import Links, Where
from phantomdb.cluster.membership import Member, Membership
from phantomdb.cluster.reports import Reports
from phantomdb.consensus.elections import ElectionController
from phantomdb.core import Node, Reactor
from phantomdb.node.disks import DiskLog
from phantomdb.node.doors.addresses import advertised, check_reachable
from phantomdb.node.doors.certificates import Certificates
from phantomdb.node.doors.listening import Doors, check_descriptors
from phantomdb.node.events import DoorEvents, Events
from phantomdb.node.health import NodeHealth, Starting
from phantomdb.node.housekeeping import Housekeeper
from phantomdb.node.stopping import Stopping
from phantomdb.serve import admin, listener, metrics
from phantomdb.serve.health import Health
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
        self._stopping = Stopping(settings.limits.grace_s)
        self._joining: Joining | None = None
        self._node: Node | None = None
        self._links: Links | None = None
        self._health: Health
        self._certificates: Certificates

    async def run(self, say_ready: Callable[[str], None]) -> None:
        """Run until a signal ends it; `say_ready` is called with the ready line."""
        settings = self._settings
        check_reachable(settings)
        check_descriptors(self._descriptors)
        self._certificates = Certificates(settings)
        doors = await Doors.open(settings, self._world)
        try:
            await self._run(doors, say_ready)
        finally:
            with trio.CancelScope(shield=True):
                await doors.close()

    async def _run(self, doors: Doors, say_ready: Callable[[str], None]) -> None:
        reactor = Reactor.start(
            self._world,
            self._settings.limits,
            self._slots,
            self._certificates.security,
            peers=[door.detach() for door in doors.peers],
            clients=[door.detach() for door in doors.clients],
        )
        try:
            with self._world.on_terminate() as terminated, self._world.on_request() as asked:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._stop_on, terminated, reactor, nursery.cancel_scope)
                    nursery.start_soon(self._heed, asked, reactor)
                    nursery.start_soon(self._certificates.watch, reactor)
                    await self._start(nursery, doors, reactor, say_ready)
        finally:
            reactor.stop(self._stopping.patience_s())
            if self._node is not None:
                logger.info("stopped")

    async def _start(
        self,
        nursery: trio.Nursery,
        doors: Doors,
        reactor: Reactor,
        say_ready: Callable[[str], None],
    ) -> None:
        settings, world = self._settings, self._world
        own = self._own(doors)
        dialler = Dialler(reactor, world.network)
        joining = self._joining = Joining(
            settings, world.random, lambda: self._open_core(reactor), dialler.ask
        )
        self._health = Starting(own.name, own.pg, own.admin, missing=lambda: joining.missing)
        greetings = Greetings(reactor, joining.answer)
        door_events = DoorEvents(doors, greetings, self._stopping)
        reactor.on_event = door_events.take
        nursery.start_soon(reactor.run)
        nursery.start_soon(self._serve_operators, doors)

        node = await joining.join(own)
        name, _ = node.members[node.id]
        self._certificates.check_member(name)
        membership = Membership(node, own)
        where = Where(own.peer, membership.peer_address, settings.join)
        software = version("phantomdb")
        links = Links(node, reactor, dialler, world.random, settings.limits, software, where=where)
        self._node, self._links = node, links
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
        elections = self._elections(node, disks)
        reactor.on_event = Events(
            door_events,
            links,
            Decisions(node, nursery, cancels.asked),
            elections,
            Control(reports, disks, cancels),
            disks=disks,
            disk_log=disk_log,
        ).take
        nursery.start_soon(elections.run)
        self._link(nursery, node, links, greetings)
        await _wait_for_leaders(node)
        house = Housekeeper(node, membership)
        nursery.start_soon(house.announce)
        nursery.start_soon(house.run)
        nursery.start_soon(disk_log.run)
        nursery.start_soon(reports.run, lambda: links.connected)
        reactor.open_clients()
        health.is_serving = True
        self._say(membership.own, say_ready)

    def _own(self, doors: Doors) -> Self:
        """Return what others are told of this node."""
        settings, network = self._settings, self._world.network

        def told(bound: Address, advertise: Address | None) -> Address:
            return advertised(bound, advertise, settings.join, network.is_own, network.host_name)

        return Self(
            b"",
            settings.name,
            told(doors.peers[0].address, settings.advertise_peer),
            told(doors.clients[0].address, settings.advertise_pg),
            told(doors.admin.address, settings.advertise_admin),
        )

    def _open_core(self, reactor: Reactor) -> Node:
        settings = self._settings
        return Node.open(
            settings.directory,
            reactor,
            self._world,
            memory_bytes=settings.memory_bytes,
            sql_memory_bytes=settings.sql_memory_bytes,
            cores=self._cores,
            sessions_max=self._slots.sessions(settings.limits),
        )

    def _elections(self, node: Node, disks: Disks) -> ElectionController:
        return ElectionController(
            self._world,
            node.id,
            sorted(node.members),
            node.campaign,
            lambda: disks.is_fit() and not self._stopping.begun.is_set(),
        )

    def _link(self, nursery: trio.Nursery, node: Node, links: Links, greetings: Greetings) -> None:
        greetings.open_links(links)
        for number in node.members:
            if number != node.id:
                nursery.start_soon(links.keep, number)

    async def _serve_operators(self, doors: Doors) -> None:
        """Serve the admin door to the end."""
        operators = admin.sessions(lambda: self._health, self._settings.limits)
        never = trio.Event()
        slots = self._slots.admin
        await listener.serve(doors.admin, operators, never, slots=slots, grace_s=0.0)

    def _say(self, own: Member, say_ready: Callable[[str], None]) -> None:
        ready = {"node": own.name, "pg": own.pg, "peer": own.peer, "admin": own.admin}
        try:
            say_ready(json.dumps(ready))
        except OSError as error:
            logger.warning("nobody could be told on stdout: %s", error.strerror)
        sessions = self._slots.sessions(self._settings.limits)
        logger.info("serving at most %d sessions", sessions)

    async def _heed(self, asked: Callable[[], Awaitable[Request]], reactor: Reactor) -> None:
        """Do what an operator asks by a signal, for ever."""
        while True:
            if await asked() is Request.RELOAD:
                logger.info("told to read again: certificates, and nothing else can change")
                self._certificates.renew(reactor)
            elif self._node is None:
                missing = self._joining.missing if self._joining else {}
                logger.info("told to report: not formed yet; missing %s", missing)
            else:
                groups = [asdict(group) for group in self._node.status()]
                report = {"groups": groups, "counts": self._node.stats()}
                logger.info("told to report: %s", json.dumps(report))

    async def _stop_on(
        self,
        terminated: Callable[[], Awaitable[None]],
        reactor: Reactor,
        scope: trio.CancelScope,
    ) -> None:
        await terminated()
        logger.info("told to stop")
        await self._stopping.run(reactor, self._node, self._links, skip=terminated)
        scope.cancel()


async def _wait_for_leaders(node: Node) -> None:
    """Wait until every group has a leader: before that no statement can be answered."""
    while not all(group.leader for group in node.status()):
        await trio.sleep(LEADERS_LOOK_S)
