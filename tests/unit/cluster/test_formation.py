# ruff: noqa: ARG001 - asking for `autojump_clock` makes waits pass at once
import random
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from phantomdb.base.errors import UsageError
from phantomdb.base.world import Address
from phantomdb.cluster.formation import (
    Formation,
    NotAMember,
    Self,
    answer_as_member,
    check_list,
    cluster_of,
    hash_of_list,
)
from phantomdb.wire.messages import Form, Formed, Hello, MalformedMessage, Message, Probe

MEMBERS = [Address("127.0.0.1", port) for port in (7001, 7002, 7003)]


class Neighbourhood:
    """Who can be asked, by address."""

    def __init__(self) -> None:
        self.nodes: dict[Address, Starting] = {}
        #: Those who speak another protocol.
        self.strangers: set[Address] = set()

    async def ask(self, address: Address, message: Message) -> Message:
        """Ask whoever is at an address."""
        await trio.lowlevel.checkpoint()
        if address in self.strangers:
            raise MalformedMessage("HTTP/1.1 400 Bad Request")
        node = self.nodes.get(address)
        if node is None:
            raise ConnectionRefusedError(str(address))
        return node.formation.answer(message)


class Starting:
    """A node that is started with a list."""

    def __init__(
        self,
        network: Neighbourhood,
        at: int,
        *,
        members: Sequence[Address] = MEMBERS,
        uuid: bytes | None = None,
    ) -> None:
        self.peer = MEMBERS[at]
        own = Self(
            uuid or bytes([at]) * 16, f"n{at}", self.peer, Address("h", at), Address("a", at)
        )
        self.accepted: list[Form] = []
        self.lost: list[type[Message]] = []
        self._network = network
        self.formation = Formation(own, members, random.Random(at), self.accepted.append, self._ask)

    async def _ask(self, address: Address, message: Message) -> Message:
        if type(message) in self.lost:
            self.lost.remove(type(message))
            raise ConnectionResetError
        return await self._network.ask(address, message)

    def serve(self) -> None:
        """Answer others from now on, as the peer door does."""
        self._network.nodes[self.peer] = self


async def form(*nodes: Starting) -> None:
    """Let nodes find each other, until all are formed."""
    for node in nodes:
        node.serve()
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.formation.run)


def the_form(*nodes: Starting) -> Form:
    """Return the formation that all nodes accepted, each once."""
    forms = [form for node in nodes for form in node.accepted]
    assert len(forms) == len(nodes)
    assert all(form == forms[0] for form in forms)
    return forms[0]


async def test_three_nodes_become_one_cluster(
    autojump_clock: MockClock,
) -> None:
    network = Neighbourhood()
    nodes = [Starting(network, at) for at in range(3)]
    await form(*nodes)
    formed = the_form(*nodes)
    assert [(m[0], m[2], m[3]) for m in formed.members] == [
        (at + 1, f"n{at}", str(MEMBERS[at])) for at in range(3)
    ]
    assert cluster_of(formed) != 0


async def test_a_node_alone_is_a_cluster_of_one(
    autojump_clock: MockClock,
) -> None:
    node = Starting(Neighbourhood(), 0, members=MEMBERS[:1])
    await form(node)
    assert [m[0] for m in the_form(node).members] == [1]


async def test_nodes_wait_for_the_last_and_say_for_whom(
    autojump_clock: MockClock,
) -> None:
    network = Neighbourhood()
    nodes = [Starting(network, at) for at in range(3)]
    async with trio.open_nursery() as nursery:
        for node in nodes[:2]:
            node.serve()
            nursery.start_soon(node.formation.run)
        await trio.sleep(30)
        assert not nodes[0].accepted
        assert nodes[0].formation.missing == {str(MEMBERS[2]): "does not answer"}
        nodes[2].serve()
        await nodes[2].formation.run()
        await trio.sleep(5)
        the_form(*nodes)
        nursery.cancel_scope.cancel()


async def test_a_node_that_did_not_hear_of_the_formation_asks_and_is_told(
    autojump_clock: MockClock,
) -> None:
    network = Neighbourhood()
    nodes = [Starting(network, at) for at in range(3)]
    nodes[0].lost = [Form, Form]  # Both of the leader's proposals.
    await form(*nodes)
    the_form(*nodes)


async def test_two_lists_make_no_cluster(
    autojump_clock: MockClock,
) -> None:
    network = Neighbourhood()
    other = [*MEMBERS[:2], Address("127.0.0.1", 7009)]
    nodes = [Starting(network, 0), Starting(network, 1), Starting(network, 2, members=other)]
    with trio.move_on_after(60):
        await form(*nodes)
    assert not any(node.accepted for node in nodes)
    assert nodes[0].formation.missing == {str(MEMBERS[2]): "was given another --join list"}


async def test_a_wiped_node_is_told_that_it_is_no_member(
    autojump_clock: MockClock,
) -> None:
    network = Neighbourhood()
    nodes = [Starting(network, at) for at in range(3)]
    wiped = Starting(network, 2, uuid=b"another")
    await form(*nodes)
    with pytest.raises(NotAMember, match="was formed without this node"):
        await wiped.formation.run()
    assert not wiped.accepted


async def test_two_nodes_of_one_directory_are_refused(
    autojump_clock: MockClock,
) -> None:
    network = Neighbourhood()
    nodes = [Starting(network, at, uuid=b"same") for at in range(3)]
    for node in nodes:
        node.serve()
    with pytest.raises(UsageError, match="are one node"):
        await nodes[0].formation.run()
    assert not any(node.accepted for node in nodes)


async def test_what_speaks_another_protocol_is_waited_for_and_named(
    autojump_clock: MockClock,
) -> None:
    network = Neighbourhood()
    node = Starting(network, 0)

    network.strangers.update(MEMBERS[1:])
    node.serve()
    with trio.move_on_after(20):
        await node.formation.run()
    assert not node.accepted
    assert all("does not speak this protocol" in why for why in node.formation.missing.values())


async def test_a_node_accepts_one_formation_in_its_life(
    autojump_clock: MockClock,
) -> None:
    node = Starting(Neighbourhood(), 0)
    members = [[n, bytes([n - 1]) * 16, "n", str(at), "q", "a"] for n, at in enumerate(MEMBERS, 1)]
    first = Form(b"1", hash_of_list(MEMBERS), members)
    second = Form(b"2", hash_of_list(MEMBERS), members)
    strange = Form(b"3", hash_of_list(MEMBERS), [[1, b"else", *members[0][2:]], *members[1:]])
    other_list = Form(b"4", b"", members)
    # Its own name is in these, but not one number and one name for each address of its list.
    alone = Form(b"5", hash_of_list(MEMBERS), members[:1])
    misnumbered = Form(b"6", hash_of_list(MEMBERS), [[1 << 40, *members[0][1:]], *members[1:]])
    elsewhere = Form(b"7", hash_of_list(MEMBERS), [*members[:2], [*members[2][:3], "p", "q", "a"]])
    doubled = Form(b"8", hash_of_list(MEMBERS), [*members[:2], [3, bytes(16), *members[2][2:]]])
    accepts = [
        (strange, False),
        (other_list, False),
        (alone, False),
        (misnumbered, False),
        (elsewhere, False),
        (doubled, False),
        (first, True),
        (first, True),
        (second, False),
    ]
    for proposed, accepted in accepts:
        answer = node.formation.answer(proposed)
        assert isinstance(answer, Formed)
        assert answer.accepted is accepted
    assert node.accepted == [first]
    assert node.formation.answer(Probe(b"", b"", 1, 1)) == first


def test_a_member_answers_with_its_formation_in_later_lives() -> None:
    members = [[1, bytes(16), "n0", "p", "q", "a"]]
    own = Form(b"1", hash_of_list(MEMBERS), members)
    other = Form(b"2", hash_of_list(MEMBERS), members)
    assert answer_as_member(own, Probe(b"", b"", 1, 1)) == own
    for proposed, accepted in [(own, True), (other, False)]:
        answer = answer_as_member(own, proposed)
        assert isinstance(answer, Formed)
        assert answer.accepted is accepted
    with pytest.raises(MalformedMessage):
        answer_as_member(own, Hello(1, 1, "", b"", 1, 1, b"", 0, 0))


async def test_other_messages_are_malformed_before_a_cluster_is_formed(
    autojump_clock: MockClock,
) -> None:
    node = Starting(Neighbourhood(), 0)
    with pytest.raises(MalformedMessage):
        node.formation.answer(Hello(1, 1, "", b"", 1, 1, b"", 0, 0))


@pytest.mark.parametrize(
    ("join", "wrong"),
    [
        ([MEMBERS[0], MEMBERS[0], MEMBERS[1]], "twice"),
        (MEMBERS[:2], "names 2 nodes"),
        ([*MEMBERS, Address("127.0.0.1", 7004)], "names 4 nodes"),
        ([*MEMBERS[1:], Address("127.0.0.1", 7004)], "does not name this node"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(join: list[Address], wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        check_list(join, MEMBERS[0])


def test_the_order_of_a_list_means_nothing() -> None:
    assert check_list(list(reversed(MEMBERS)), MEMBERS[0]) == tuple(MEMBERS)
    assert hash_of_list(list(reversed(MEMBERS))) == hash_of_list(MEMBERS)
