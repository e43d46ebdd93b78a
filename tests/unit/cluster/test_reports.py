"""What nodes tell each other arrives as it was, and what is none costs a line of the log."""

from typing import Any

import cbor2
import pytest
import trio
import trio.testing
from kit.status import a_group

from phantomdb.cluster.cancels import Cancels
from phantomdb.cluster.control import Control
from phantomdb.cluster.disks import Disks
from phantomdb.cluster.reports import REPORT_S, Reports
from phantomdb.core import GroupStatus, MemberStatus
from phantomdb.core.events import ControlReceived
from phantomdb.wire import messages
from phantomdb.wire.messages import DiskReport, GroupReport, LedGroup, Probe

REPLICAS = (
    MemberStatus(1, 9, 9, too_far_behind=False),
    MemberStatus(2, 8, 7, too_far_behind=False),
)


class Core:
    """A node that is in groups 1 and 2 and may lead them."""

    def __init__(self, node: int, *groups: GroupStatus) -> None:
        self.id = node
        self.groups = groups
        self.sent: list[tuple[int, bytes]] = []

    def status(self) -> list[GroupStatus]:
        return list(self.groups)

    def stats(self) -> dict[str, int]:
        disk = {"short": 0, "free_bytes": 9, "total_bytes": 20, "reserve_bytes": 5, "pending_ms": 3}
        sizes = {f"disk_{name}": size for name, size in disk.items()}
        return sizes | {"sql_memory_bytes": 1, "sql_memory_limit_bytes": 2}

    def send_control(self, peer: int, message: bytes) -> None:
        self.sent.append((peer, message))


class Hearing:
    """What a node keeps of what it is told."""

    def __init__(self, core: Core) -> None:
        node: Any = core
        self.disks = Disks(node)
        self.reports = Reports(node, self.disks)
        self.control = Control(self.reports, self.disks, Cancels(node))


FOLLOWED = a_group(2, leader=1, term=5, commit=8, applied=7)


async def test_a_leader_tells_all_who_are_linked_and_they_know_what_it_knows(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    led = a_group(2, leader=1, term=5, commit=9, applied=9, members=REPLICAS)
    core = Core(1, a_group(1, leader=2, term=5, commit=4, applied=4), led)
    with trio.move_on_after(1.5 * REPORT_S):
        await Hearing(core).reports.run(lambda: frozenset({2}))
    assert [peer for peer, _ in core.sent] == [2, 2], "of its disk and of its groups, once"
    other = Hearing(Core(2, FOLLOWED))
    for _, message in core.sent:
        other.control.received(ControlReceived(1, message))
    assert other.reports.replicas(FOLLOWED) == (9, {1: 9, 2: 7})
    disk = DiskReport(
        is_short=False, free=9, total=20, reserve=5, pending_ms=3, sql_held=1, sql_limit=2
    )
    assert other.disks.of(1) == disk


async def test_who_leads_nothing_tells_of_its_disk_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    core = Core(2, FOLLOWED)
    with trio.move_on_after(1.5 * REPORT_S):
        await Hearing(core).reports.run(lambda: frozenset({1, 3}))
    assert sorted(peer for peer, _ in core.sent) == [1, 3]
    assert all(isinstance(messages.decode(message), DiskReport) for _, message in core.sent)


def test_a_group_that_this_node_is_not_in_is_not_kept() -> None:
    reports = Hearing(Core(2, FOLLOWED)).reports
    reports.heard(GroupReport.of([LedGroup(99, 5, 8, {1: 8}), LedGroup(2, 5, 9, {1: 9})]))
    assert reports.replicas(a_group(99, leader=1, term=5)) == (0, {2: 0})
    assert reports.replicas(FOLLOWED) == (9, {1: 9})


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x83",
        cbor2.dumps([8, [[2, 5]]]),
        cbor2.dumps([8, [[2, 5, "x", []]]]),
        cbor2.dumps([8, [[2, 5, -1, []]]]),
    ],
)
def test_what_is_no_message_is_said_and_changes_nothing(
    message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    hearing = Hearing(Core(2, FOLLOWED))
    hearing.control.received(ControlReceived(3, message))
    assert [record.getMessage()[:8] for record in caplog.records] == ["peer 3: "]
    assert hearing.reports.replicas(FOLLOWED) == (8, {2: 7})


def test_a_message_of_another_door_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    probe = messages.encode(Probe(b"", b"", 1, 1))
    Hearing(Core(2, FOLLOWED)).control.received(ControlReceived(3, probe))
    assert not caplog.records
