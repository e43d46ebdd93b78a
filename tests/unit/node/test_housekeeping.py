"""What a node looks after: a catalog at rest is left in peace, and trouble is said once."""

import math
from typing import Any, ClassVar

import cbor2
import pytest
import trio
import trio.testing
from kit.status import a_group

from phantomdb.base.errors import NoLeader, PhantomError
from phantomdb.base.world import Address
from phantomdb.catalog.keys import NODES, SCHEMA, TABLES
from phantomdb.cluster.formation import Self
from phantomdb.cluster.membership import Membership
from phantomdb.core import GroupStatus
from phantomdb.core.rows import Row, RowSpan
from phantomdb.node.housekeeping import (
    HOUSEKEEPING_S,
    LOOK_AGAIN_S,
    Housekeeper,
)


class Core:
    """A core that leads the system group, counts what is read, and fails when it is told to."""

    id = 1
    members: ClassVar = {1: ("n1", "p:1")}

    def __init__(self) -> None:
        self.term, self.applied, self.leader = 1, 10, 1
        self.reads: list[int] = []
        self.error: PhantomError | None = None
        self.written: list[Any] = []

    def status(self) -> list[GroupStatus]:
        return [a_group(1, leader=self.leader, term=self.term, applied=self.applied)]

    def hlc(self) -> int:
        return 0

    async def read_rows(self, _group: int, spans: list[RowSpan]) -> list[list[Row]]:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        relation = spans[0].relation
        self.reads.append(relation)
        row = cbor2.dumps([2, "n2", "peer:1", "pg:2", "admin:3"])
        return [[Row(row, 1)] if relation == NODES else []]

    async def write_rows(self, _group: int, writes: list[Any]) -> int:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.written.append(writes)
        return 1

    def looks(self) -> int:
        """How often the whole catalog was read since the last time."""
        assert self.reads.count(TABLES) == self.reads.count(SCHEMA)
        looks = self.reads.count(TABLES)
        self.reads.clear()
        return looks


@pytest.fixture
def core() -> Core:
    return Core()


def keeper(core: Core) -> Housekeeper:
    node: Any = core
    own = Self(b"", "n1", Address("p", 1), Address("q", 2), Address("r", 3))
    return Housekeeper(node, Membership(node, own))


async def keep(house: Housekeeper, turns: float) -> None:
    with trio.move_on_after(turns * HOUSEKEEPING_S):
        await house.run()


async def test_a_catalog_at_rest_is_read_once_and_once_more_when_all_is_old(
    core: Core, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    house = keeper(core)
    await keep(house, 3.5)
    assert core.looks() == 1
    await keep(house, LOOK_AGAIN_S / HOUSEKEEPING_S + 3)
    assert core.looks() == 1, "once more, for what was too young"
    await keep(house, 1_000)
    assert core.looks() == 0
    core.applied += 1
    await keep(house, 3.5)
    assert core.looks() == 1, "something has changed"
    core.term += 1
    await keep(house, 3.5)
    assert core.looks() == 1, "it leads anew"


async def test_who_does_not_lead_the_catalog_reads_none_of_it(
    core: Core, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    house = keeper(core)
    core.leader = 2
    await keep(house, 10)
    assert core.looks() == 0
    core.leader = 1
    await keep(house, 2)
    assert core.looks() == 1


async def test_trouble_is_said_once_and_that_it_is_over(
    core: Core, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    del autojump_clock
    house = keeper(core)
    core.error = NoLeader("group 1 has no leader")
    with caplog.at_level("INFO"):
        await keep(house, 10)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == len(set(said)) == 2, "one of each, however often it was tried"
        assert all("57P03: group 1 has no leader" in line for line in said)
        core.error = None
        await keep(house, 2)
    over = [record.getMessage() for record in caplog.records][2:]
    assert [line.startswith("could ") for line in over] == [True, True]


async def test_its_own_row_is_written_as_soon_as_that_is_possible(
    core: Core, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    house = keeper(core)
    core.error = NoLeader("group 1 has no leader")
    with trio.move_on_after(10):
        await house.announce()
    assert core.written == []
    core.error = None
    with trio.fail_after(math.inf):
        await house.announce()
    assert len(core.written) == 1
