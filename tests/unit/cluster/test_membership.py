"""What a node knows of the members: the formation's word first, then each node's own row."""

from typing import Any, ClassVar

import cbor2
import trio

from phantomdb.base.world import Address
from phantomdb.catalog.keys import NODES, SYSTEM_GROUP
from phantomdb.cluster.formation import Self
from phantomdb.cluster.membership import Member, Membership
from phantomdb.core.rows import Row, RowSpan, RowWrite

OWN = Self(b"", "called.otherwise", Address("a", 2), Address("a", 1), Address("a", 3))
FIRST = Member(1, "n1", "a:2", "a:1", "a:3")
SECOND = Member(2, "n2", "b:2", "", "")


class Core:
    """Node 1 of two, and the rows of its system group."""

    id = 1
    members: ClassVar = {1: ("n1", "an older address:2"), 2: ("n2", "b:2")}

    def __init__(self) -> None:
        self.rows: list[bytes] = []

    async def read_rows(self, group: int, spans: list[RowSpan]) -> list[list[Row]]:
        await trio.lowlevel.checkpoint()
        assert (group, spans) == (SYSTEM_GROUP, [RowSpan(NODES)])
        return [[Row(value, 1) for value in self.rows]]

    async def write_rows(self, group: int, writes: list[RowWrite]) -> int:
        await trio.lowlevel.checkpoint()
        [write] = writes
        assert (group, write.relation, write.key, write.seen) == (SYSTEM_GROUP, NODES, [1], None)
        assert write.value is not None
        self.rows.append(write.value)
        return 1


def membership() -> tuple[Membership, Core]:
    core: Any = Core()
    return Membership(core, OWN), core


def test_the_formation_names_all_and_each_node_knows_its_own_doors() -> None:
    known, _ = membership()
    assert list(known.members.values()) == [FIRST, SECOND]
    assert known.own == FIRST, "its name is the one that it was formed with"
    assert not known.is_complete


async def test_what_a_node_announces_is_what_others_learn() -> None:
    known, core = membership()
    await known.announce()
    await known.learn()
    assert known.own == FIRST
    assert not known.is_complete, "node 2 has not told"
    core.rows.append(cbor2.dumps([2, "n2", "c:2", "c:1", "c:3", "of a newer release"]))
    await known.learn()
    assert known.members[2] == Member(2, "n2", "c:2", "c:1", "c:3")
    assert known.is_complete
