"""What the admin door tells of this node and its cluster."""

from collections.abc import Callable, Mapping

from phantomdb.base.world import Address
from phantomdb.catalog.keys import SYSTEM_GROUP
from phantomdb.cluster.disks import Disks, is_stalled
from phantomdb.cluster.membership import Member, Membership
from phantomdb.cluster.reports import Reports
from phantomdb.core import GroupStatus, Node
from phantomdb.serve.health import (
    ClusterHealth,
    DiskSizes,
    GroupHealth,
    MemberHealth,
    Readiness,
    ReplicaHealth,
    SqlMemory,
)


class Starting:
    """Health of a node whose core is not open: it looks for its cluster, or reads its log."""

    def __init__(
        self, name: str, pg: Address, admin: Address, *, missing: Callable[[], dict[str, str]]
    ) -> None:
        """Ask `missing` for the addresses that the formation waits for, and why."""
        self._name = name
        self._pg = pg
        self._admin = admin
        self._missing = missing

    def readiness(self) -> Readiness:
        """Say no, and for whom the formation waits, if it waits for somebody."""
        whom = ", ".join(f"{address} ({why})" for address, why in self._missing().items())
        why = f"waiting for {whom}" if whom else ""
        return Readiness(ready=False, state="starting", why=why)

    def metrics(self) -> tuple[bytes, str]:
        """Tell nothing: there is no core to ask."""
        return b"", "text/plain; charset=utf-8"

    def cluster(self) -> ClusterHealth:
        """Show this node alone: the others are not known yet."""
        own = MemberHealth(
            name=self._name,
            role="replica",
            state="starting",
            host=self._pg.host,
            port=self._pg.port,
            api_url=f"http://{self._admin}/",
            timeline=0,
            lag=None,
            disk=None,
            sql_memory=None,
        )
        return ClusterHealth((own,), (), "", self._name)


class NodeHealth:
    """Health of one node; every answer is made of what the core knows now."""

    def __init__(
        self,
        node: Node,
        membership: Membership,
        reports: Reports,
        disks: Disks,
        *,
        connected: Callable[[], frozenset[int]],
        metrics: Callable[[], tuple[bytes, str]],
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._node = node
        self._membership = membership
        self._reports = reports
        self._disks = disks
        self._connected = connected
        self._metrics = metrics
        self._is_stopping = is_stopping
        self.is_serving = False

    def readiness(self) -> Readiness:
        """Whether sessions are served and every group has a leader."""
        if self._is_stopping():
            return Readiness(ready=False, state="stopping")
        if not self.is_serving or not all(group.leader for group in self._node.status()):
            return Readiness(ready=False, state="starting")
        if waited_s := self._disks.stalled_s():
            why = f"its disk has not answered for {waited_s:.1f} s"
            return Readiness(ready=False, state="stalled", why=why)
        if not self._disks.has_room():
            return Readiness(ready=True, state="degraded", why="its disk is full")
        return Readiness(ready=True, state="serving")

    def metrics(self) -> tuple[bytes, str]:
        """Text for Prometheus."""
        return self._metrics()

    def cluster(self) -> ClusterHealth:
        """Members with Patroni's names for things, and groups with their replicas."""
        groups = self._node.status()
        members = self._membership.members
        system = next((group for group in groups if group.id == SYSTEM_GROUP), None)
        alive = self._connected() | {self._node.id}
        return ClusterHealth(
            tuple(self._member(m, system, alive, groups) for m in members.values()),
            tuple(self._group(group, members) for group in groups),
            f"{self._node.cluster:016x}",
            self._membership.own.name,
        )

    def _member(
        self,
        member: Member,
        system: GroupStatus | None,
        alive: frozenset[int],
        groups: list[GroupStatus],
    ) -> MemberHealth:
        address = Address.parse(member.pg) if member.pg else None
        known = [self._reports.replicas(group) for group in groups]
        lags = [
            commit - applied[member.node] for commit, applied in known if member.node in applied
        ]
        # What its leader has not told yet is no lag of 0.
        is_known = member.node in alive and len(lags) == len(known)
        return MemberHealth(
            name=member.name,
            role="leader" if system and member.node == system.leader else "replica",
            state=self._state(member.node, alive),
            host=address.host if address else "",
            port=address.port if address else 0,
            api_url=f"http://{member.admin}/" if member.admin else "",
            timeline=system.term if system else 0,
            lag=max([0, *lags]) if is_known else None,
            disk=self._disk(member.node),
            sql_memory=self._sql_memory(member.node),
        )

    def _disk(self, node: int) -> DiskSizes | None:
        disk = self._disks.of(node)
        return DiskSizes(disk.free, disk.total, disk.reserve) if disk.total else None

    def _sql_memory(self, node: int) -> SqlMemory | None:
        told = self._disks.of(node)
        return SqlMemory(told.sql_held, told.sql_limit) if told.sql_limit else None

    def _state(self, node: int, alive: frozenset[int]) -> str:
        if node not in alive:
            return "unreachable"
        if node == self._node.id and self._is_stopping():
            return "stopping"
        disk = self._disks.of(node)
        if is_stalled(disk):
            return "stalled"
        return "degraded" if disk.is_short else "running"

    def _group(self, group: GroupStatus, members: Mapping[int, Member]) -> GroupHealth:
        leader = members.get(group.leader)
        commit, applied = self._reports.replicas(group)
        replicas = tuple(
            ReplicaHealth(members[node].name, index, max(0, commit - index))
            for node, index in applied.items()
            if node in members
        )
        return GroupHealth(group.id, leader.name if leader else None, group.term, replicas)
