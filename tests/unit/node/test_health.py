"""What leaders report of their groups, and what is no report."""

import json
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from kit.status import a_group

from phantomdb.base.world import Address
from phantomdb.cluster.disks import Disks
from phantomdb.cluster.formation import Self
from phantomdb.cluster.membership import Membership
from phantomdb.cluster.reports import Reports
from phantomdb.core import GroupStatus
from phantomdb.core.events import DiskChanged
from phantomdb.node.disks import DiskLog
from phantomdb.node.health import NodeHealth, Starting
from phantomdb.serve import admin
from phantomdb.serve.health import DiskSizes, MemberHealth, Readiness, ReplicaHealth, SqlMemory
from phantomdb.wire.http import Request
from phantomdb.wire.messages import DiskReport, GroupReport


class StubbornNode:
    """A core that follows node 2 in one group and never changes its mind."""

    id = 1
    cluster = 7
    members: ClassVar = {1: ("n1", "127.0.0.1:4"), 2: ("n2", "127.0.0.1:5")}
    pending_ms = 0
    sql_held = 3

    def stats(self) -> dict[str, int]:
        sizes = {"disk_free_bytes": 9, "disk_total_bytes": 20, "disk_reserve_bytes": 5}
        memory = {"sql_memory_bytes": self.sql_held, "sql_memory_limit_bytes": 512}
        return sizes | memory | {"disk_short": 0, "disk_pending_ms": self.pending_ms}

    def status(self) -> list[GroupStatus]:
        return [a_group(2, leader=2, term=5, commit=9, applied=8)]


OWN = Self(b"", "n1", Address("127.0.0.1", 4), Address("127.0.0.1", 1), Address("127.0.0.1", 3))


class Told:
    """The health of a node, and what it is made of."""

    def __init__(self, core: StubbornNode | None = None) -> None:
        node: Any = core or StubbornNode()
        self.disks = Disks(node)
        self.disk_log = DiskLog(self.disks)
        self.reports = Reports(node, self.disks)
        self.health = NodeHealth(
            node,
            Membership(node, OWN),
            self.reports,
            self.disks,
            connected=lambda: frozenset({2}),
            metrics=lambda: (b"", ""),
        )
        self.health.is_serving = True

    def members(self) -> tuple[MemberHealth, ...]:
        return self.health.cluster().members

    def replicas(self) -> tuple[ReplicaHealth, ...]:
        return self.health.cluster().groups[0].replicas

    def changed(self, disk: DiskChanged) -> None:
        self.disks.changed(disk)
        self.disk_log.changed(disk)


def test_a_follower_shows_what_the_leader_of_this_term_has_told() -> None:
    told = Told()
    told.reports.heard(GroupReport([[2, 5, 10, [[1, 8], [2, 10]]]]))
    both = (ReplicaHealth("n1", 8, 2), ReplicaHealth("n2", 10, 0))
    assert told.replicas() == both
    assert [member.lag for member in told.members()] == [2, 0]
    told.reports.heard(GroupReport([[2, 4, 99, [[1, 99]]]]))
    own = told.replicas()
    assert own == (ReplicaHealth("n1", 8, 1),), "a report of an older term is none"


#: No index of a log; the first is too long to be written in decimals.
OUT_OF_RANGE = [[[2, 5, 10**5_000, [[1, 8]]]], [[2, 5, 10, [[1, -1]]]]]


@pytest.mark.parametrize(
    "report", [[[2, 5, "x", []]], [[2, 5, 1, [[1, None]]]], [5], [[2, 5]], *OUT_OF_RANGE]
)
def test_what_is_no_report_is_refused_and_nothing_is_shown_of_it(report: list[Any]) -> None:
    told = Told()
    with pytest.raises((TypeError, ValueError)):
        told.reports.heard(GroupReport(report))
    assert told.replicas() == (ReplicaHealth("n1", 8, 1),)


def test_a_lag_that_nobody_has_told_is_unknown() -> None:
    own, other = Told().members()
    assert (own.lag, other.lag) == (1, None), "its leader has not told of it yet"


def test_a_full_disk_degrades_its_node_and_is_told_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    members = told.members()
    assert [m.state for m in members] == ["running", "running"]
    assert [m.disk for m in members] == [DiskSizes(9, 20, 5), None]
    told.disks.heard(2, DiskReport(is_short=True, free=3, total=20, reserve=5))
    member = told.members()[1]
    assert (member.state, member.disk) == ("degraded", DiskSizes(3, 20, 5))
    assert told.health.readiness().state == "serving", "that is another node"
    with caplog.at_level("INFO"):
        told.changed(DiskChanged("short", 4, 20, 5))
        full = Readiness(ready=True, state="degraded", why="its disk is full")
        assert told.health.readiness() == full
        told.changed(DiskChanged("enough", 9, 20, 5))
        assert told.health.readiness().state == "serving"
    begins, ends = (record.getMessage() for record in caplog.records)
    assert "4 of 20 bytes are free" in begins
    assert "writes are taken" in ends


def test_a_disk_that_does_not_answer_makes_its_node_unready_and_is_told_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = StubbornNode()
    told = Told(node)
    for pending_ms, state in [(999, "serving"), (1_500, "stalled"), (61_000, "stalled"), (0, "")]:
        node.pending_ms = pending_ms
        told.disk_log.look()
        assert told.health.readiness().state == (state or "serving")
        assert told.health.readiness().ready == (state != "stalled")
        assert told.disks.is_fit() == (state != "stalled")
    assert [record.getMessage() for record in caplog.records] == [
        "the disk has not answered for 1.5 s: this node is not ready, and others lead",
        "the disk answers again",
    ]
    told.disks.heard(2, DiskReport(is_short=True, free=3, total=20, reserve=5, pending_ms=1_001))
    assert [m.state for m in told.members()] == ["running", "stalled"]


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [(200, "serving", ""), (200, "degraded", "full"), (503, "starting", ""), (503, "stopping", "")],
)
def test_a_degraded_node_is_ready_and_one_that_stops_is_not(
    status: int, state: str, why: str
) -> None:
    readiness = Readiness(ready=status == 200, state=state, why=why)
    told: Any = SimpleNamespace(readiness=lambda: readiness)
    response = admin.answer(Request("GET", "/readiness", ""), told)
    shown = json.loads(response.body)
    assert (response.status, shown["state"], shown.get("why", "")) == (status, state, why)


def test_the_memory_of_statements_is_shown_of_each_node_that_has_told_of_it() -> None:
    told = Told()
    own, other = told.members()
    assert (own.sql_memory, other.sql_memory) == (SqlMemory(3, 512), None)
    report = DiskReport(is_short=False, free=3, total=20, reserve=5, sql_held=7, sql_limit=16 << 20)
    told.disks.heard(2, report)
    assert told.members()[1].sql_memory == SqlMemory(7, 16 << 20)


def test_the_body_of_cluster_is_written_with_patronis_names_in_their_order() -> None:
    told = Told()
    response = admin.answer(Request("GET", "/cluster", ""), told.health)
    assert response.body == (
        b'{"members": [{"name": "n1", "role": "replica", "state": "running", "host": "127.0.0.1",'
        b' "port": 1, "api_url": "http://127.0.0.1:3/", "timeline": 0, "lag": 1,'
        b' "disk": {"free": 9, "total": 20, "reserve": 5},'
        b' "sql_memory": {"held": 3, "limit": 512}}, {"name": "n2", "role": "replica",'
        b' "state": "running", "host": "", "port": 0, "api_url": "", "timeline": 0,'
        b' "lag": "unknown", "disk": null, "sql_memory": null}], "groups": [{"id": 2,'
        b' "leader": "n2", "term": 5, "replicas": [{"node": "n1", "applied": 8, "lag": 1}]}],'
        b' "cluster": "0000000000000007", "answered_by": "n1"}\n'
    )


def test_a_node_that_starts_shows_itself_alone() -> None:
    address = Address.parse
    told = Starting("n1", address("127.0.0.1:1"), address("127.0.0.1:3"), missing=dict)
    response = admin.answer(Request("GET", "/cluster", ""), told)
    assert response.body == (
        b'{"members": [{"name": "n1", "role": "replica", "state": "starting",'
        b' "host": "127.0.0.1", "port": 1, "api_url": "http://127.0.0.1:3/", "timeline": 0,'
        b' "lag": "unknown", "disk": null, "sql_memory": null}], "groups": [], "cluster": "",'
        b' "answered_by": "n1"}\n'
    )
