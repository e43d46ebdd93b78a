"""Which nodes the cluster has, and where their doors are.

The formation names its members and where peers find them. All else is in the rows of the system
group: each node writes its own when it starts, for its doors may have moved, and reads the others'.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cbor2

from phantomdb.base.world import Address
from phantomdb.catalog.keys import NODES, SYSTEM_GROUP, Key
from phantomdb.cluster.formation import Self
from phantomdb.core import Node
from phantomdb.core.rows import RowSpan, RowWrite


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the cluster; addresses are empty until its own row has told them."""

    node: int
    name: str
    peer: str
    pg: str
    admin: str


class Membership:
    """The members, as far as this node knows them."""

    def __init__(self, node: Node, own: Self) -> None:
        """Begin with what the formation says of all and what `own` says of this node."""
        self._node = node
        self._members = {
            number: Member(number, name, address, "", "")
            for number, (name, address) in node.members.items()
        }
        name, _ = node.members[node.id]
        self._members[node.id] = Member(node.id, name, str(own.peer), str(own.pg), str(own.admin))

    @property
    def members(self) -> Mapping[int, Member]:
        """All of them, by their numbers."""
        return self._members

    @property
    def own(self) -> Member:
        """The node that runs here."""
        return self._members[self._node.id]

    @property
    def is_complete(self) -> bool:
        """Whether every node has told where its doors are."""
        return all(member.pg for member in self._members.values())

    def peer_address(self, number: int) -> Address | None:
        """Return where a node's peer door is, as far as is known here."""
        try:
            return Address.parse(self._members[number].peer)
        except ValueError:
            return None  # A row may say anything.

    async def announce(self) -> None:
        """Write this node's own row; raises what `Node.write_rows` does."""
        own = self.own
        row = cbor2.dumps([own.node, own.name, own.peer, own.pg, own.admin])
        key: Key = [own.node]
        await self._node.write_rows(SYSTEM_GROUP, [RowWrite(NODES, key, row, seen=None)])

    async def learn(self) -> None:
        """Read all rows; raises what `Node.read_rows` does."""
        [rows] = await self._node.read_rows(SYSTEM_GROUP, [RowSpan(NODES)])
        for row in rows:
            # A newer node may have appended fields.
            number, name, peer, pg_address, admin_address = cbor2.loads(row.value)[:5]
            self._members[number] = Member(number, name, peer, pg_address, admin_address)
