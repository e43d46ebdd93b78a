"""What nodes tell each other of their disks, and leaders of the groups that they lead.

Only a leader knows its replicas, and only a node its disk. Both are told again and again: a report
that is lost is no harm, and one of an older term is none.
"""

from collections.abc import Callable

import trio

from phantomdb.cluster.disks import Disks
from phantomdb.core import GroupStatus, Node
from phantomdb.wire import messages
from phantomdb.wire.messages import GroupReport, LedGroup, Message

#: Between two reports to the others, in seconds.
REPORT_S = 0.5


class Reports:
    """Tells the other nodes, and keeps what they have told of groups."""

    def __init__(self, node: Node, disks: Disks) -> None:
        self._node = node
        self._disks = disks
        #: The newest report of each group that this node is in, whoever led it.
        self._told: dict[int, LedGroup] = {}

    async def run(self, connected: Callable[[], frozenset[int]]) -> None:
        """Tell all peers that are `connected`, for ever."""
        while True:
            await trio.sleep(REPORT_S)
            told = [messages.encode(message) for message in self._own()]
            for peer in connected():
                for message in told:
                    self._node.send_control(peer, message)

    def _own(self) -> list[Message]:
        led = [
            LedGroup(g.id, g.term, g.commit, {m.node: m.applied for m in g.members})
            for g in self._node.status()
            if g.leader == self._node.id
        ]
        report = self._disks.report()
        return [report, GroupReport.of(led)] if led else [report]

    def heard(self, report: GroupReport) -> None:
        """Take a leader's report; raises `ValueError` or `TypeError` for one that is none."""
        own = {group.id for group in self._node.status()}
        self._told |= {led.group: led for led in report.led() if led.group in own}

    def replicas(self, group: GroupStatus) -> tuple[int, dict[int, int]]:
        """Return a group's commit index and what each node has applied.

        They are the leader's, or what it has told, or what this node knows of its own replica.
        """
        if group.members:
            return group.commit, {member.node: member.applied for member in group.members}
        told = self._told.get(group.id)
        if told is not None and told.term == group.term:
            return told.commit, told.applied
        return group.commit, {self._node.id: group.applied}
