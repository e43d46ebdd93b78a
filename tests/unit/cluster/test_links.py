# ruff: noqa: ARG001 - asking for `autojump_clock` makes waits pass at once
"""Who may be a peer, whom a node dials and when; a link that fails is dialled again."""

from dataclasses import replace
from typing import Any

import cbor2
import pytest
import trio
from kit.fake_core import CLUSTER, FakeCore
from kit.fake_world import FakeWorld
from trio.testing import MockClock, wait_all_tasks_blocked

from phantomdb.base.errors import IdentityTaken
from phantomdb.base.settings import Limits
from phantomdb.base.world import Address
from phantomdb.cluster.dialling import Dialler
from phantomdb.cluster.greetings import Greetings
from phantomdb.cluster.links import STREAMS, Links, Where
from phantomdb.core import FEATURES
from phantomdb.core.events import FirstHeard, LinkDown, LinkUp
from phantomdb.wire import messages
from phantomdb.wire.messages import Hello, MalformedMessage, Message, Refusal

NAME, OTHER = b"a" * 16, b"b" * 16
LIFE, TWIN = b"life" * 4, b"twin" * 4
HERE, THERE = Address("127.0.0.1", 7002), Address("127.0.0.1", 7003)


def hello(node: int, stream: int = 0, **fields: Any) -> Hello:
    """Return what a peer says first."""
    cluster = CLUSTER.to_bytes(8, "big")
    low, high = messages.PROTOCOL_MIN, messages.PROTOCOL_MAX
    return replace(Hello(low, high, "0.1", cluster, node, 1, NAME, stream, 1, LIFE), **fields)


class Fixture:
    """The links of node 2 of three, over a reactor that a test moves."""

    def __init__(self, number: int = 2) -> None:
        world = FakeWorld(1)
        self.core = FakeCore(world)
        self.reactor = self.core.reactor()
        self.node = self.core.node(self.reactor, number)
        network: Any = world.network
        dialler = Dialler(self.reactor, network)
        self.rows: dict[int, Address] = {}
        self.list = [HERE, THERE]
        self.peer = THERE
        self.links = Links(
            self.node,
            self.reactor,
            dialler,
            world.random,
            Limits(),
            "0.1",
            where=Where(HERE, self.rows.get, self.list),
        )
        self.greetings = Greetings(self.reactor, self._answer)
        self._connection = 0
        #: Whose certificate they show who are dialled.
        self.certified: str | None = None
        self.reactor.on_event = self._take

    def _answer(self, message: Message) -> Message:
        raise MalformedMessage(f"{type(message).__name__} is no question")

    def _take(self, event: object) -> None:
        match event:
            case LinkUp():
                self.links.came(event)
            case LinkDown():
                self.links.went(event)
            case _:
                raise AssertionError(event)

    def greet(self, said: Hello, certified: str | None = None) -> Message | None:
        """Say hello on a new connection; what it is answered, if it is no link."""
        self._connection += 1
        self.links.greeted(self._connection, said, certified)
        for connection, answer in self.core.take("say_last"):
            assert connection == self._connection
            return messages.decode(answer)
        return None

    def adopted(self) -> list[tuple[Any, ...]]:
        """Return (connection, peer, stream) of what became streams since the last time."""
        return [(conn, peer, at) for conn, (peer, *_), _, at, _ in self.core.take("adopt")]

    async def dialled(self) -> tuple[int, Hello]:
        """Return the token and the hello of the next dial."""
        dials: list[tuple[Any, ...]] = []
        with trio.fail_after(10):
            while not dials:
                await trio.sleep(0.01)
                dials = self.core.take("dial")
        [(token, to, said)] = dials
        assert to == str(self.peer)
        decoded = messages.decode(said)
        assert isinstance(decoded, Hello)
        return token, decoded

    async def answer(self, answer: Message) -> Hello:
        """Answer the dial that is under way; what it said."""
        token, said = await self.dialled()
        self._connection += 1
        self.core.tell("answer", token, self._connection, self.certified, messages.encode(answer))
        await wait_all_tasks_blocked()
        return said


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


# Those who dial.


def test_a_link_has_both_streams_of_one_name(fixture: Fixture) -> None:
    assert fixture.greet(hello(1, 1, features=5)) is None
    assert fixture.greet(hello(1, 0, features=5)) is None
    said = fixture.core.said.copy()
    assert fixture.adopted() == [(1, 1, 1), (2, 1, 0)]
    for verb, _, peer, link, stream, answer in said:
        assert (verb, peer, link) == ("adopt", (1, 1, 5), NAME)
        own = messages.decode(answer)
        assert isinstance(own, Hello)
        assert (own.node, own.link, own.stream, own.features) == (2, NAME, stream, FEATURES)
    assert fixture.links.connected == frozenset()
    fixture.links.came(LinkUp(1, NAME))
    assert fixture.links.connected == {1}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cluster": bytes(8)}, "WRONG_CLUSTER"),
        ({"cluster": b""}, "WRONG_CLUSTER"),
        ({"protocol_min": messages.PROTOCOL_MAX + 1, "protocol_max": 99}, "WRONG_VERSION"),
        ({"protocol_min": 0, "protocol_max": messages.PROTOCOL_MIN - 1}, "WRONG_VERSION"),
        ({"node": 7}, "NOT_MEMBER"),
        ({"node": 2}, "NOT_MEMBER"),
        ({"stream": 2}, "WRONG_VERSION"),
    ],
)
def test_a_stranger_is_told_why(fixture: Fixture, fields: dict[str, Any], code: str) -> None:
    answer = fixture.greet(replace(hello(1), **fields))
    assert isinstance(answer, Refusal)
    assert answer.code == code
    assert fixture.adopted() == []


def test_a_stream_comes_once_and_of_one_life(fixture: Fixture) -> None:
    assert fixture.greet(hello(1, 0)) is None
    for again in (hello(1, 0), hello(1, 1, incarnation=2), hello(3, 1)):
        answer = fixture.greet(again)
        assert isinstance(answer, Refusal)
        assert answer.code == "NOT_MEMBER"
    # What came to nothing is forgotten.
    fixture.links.went(LinkDown(1, NAME, "it took too long"))
    assert fixture.greet(hello(1, 0)) is None


def test_a_link_without_a_name_is_none(fixture: Fixture) -> None:
    with pytest.raises(MalformedMessage, match="a link's name"):
        fixture.greet(hello(1, link=b"short"))


def test_an_older_life_and_a_twin_are_told_that_the_identity_is_taken(fixture: Fixture) -> None:
    for stream in STREAMS:
        assert fixture.greet(hello(1, stream, incarnation=5)) is None
    fixture.links.came(LinkUp(1, NAME))
    for fields in ({"incarnation": 4}, {"incarnation": 5, "life": TWIN}):
        answer = fixture.greet(hello(1, link=OTHER, **fields))
        assert isinstance(answer, Refusal)
        assert answer.code == "TAKEN"
    for fields in ({"incarnation": 5}, {"incarnation": 6, "life": TWIN}):
        assert fixture.greet(hello(1, link=bytes([len(fields)]) * 16, **fields)) is None


def test_first_messages_that_are_no_hello_go_elsewhere_or_are_closed(fixture: Fixture) -> None:
    early = FirstHeard(8, "127.0.0.1:9", None, messages.encode(hello(1)))
    fixture.greetings.heard(early)
    assert fixture.core.take("close") == [(8,)], "it has no links yet"
    fixture.greetings.open_links(fixture.links)
    fixture.greetings.heard(early)
    assert fixture.adopted() == [(8, 1, 0)]
    for message in (b"", b"GET /", messages.encode(Refusal("TAKEN", ""))):
        fixture.greetings.heard(FirstHeard(9, "127.0.0.1:9", None, message))
        assert fixture.core.take("close") == [(9,)]


def test_a_certificate_is_that_of_the_member_who_shows_it(fixture: Fixture) -> None:
    answer = fixture.greet(hello(1), certified="n3")
    assert answer == Refusal("NOT_MEMBER", "n3 has shown its certificate, and node 1 is n1")
    assert fixture.greet(hello(1), certified="n1") is None
    assert fixture.adopted() == [(2, 1, 0)]


def test_a_node_that_has_moved_is_dialled_where_it_says_that_it_is(fixture: Fixture) -> None:
    first, second, listed = (Address("10.0.0.3", port) for port in (1, 2, 3))
    assert fixture.links.addresses(3) == [THERE]
    fixture.list[:] = [Address("127.0.0.1", 7001), HERE, listed]
    assert fixture.links.addresses(3) == [THERE, listed], "those of others are others'"
    fixture.rows[3] = first
    assert fixture.links.addresses(3) == [first, THERE, listed]
    fixture.greet(hello(3, address=str(second)))
    assert fixture.links.addresses(3) == [second, first, THERE, listed]
    assert second not in fixture.links.addresses(1)
    # A stranger moves nobody.
    fixture.greet(hello(3, address="6.6.6.6:6", cluster=b"other"))
    fixture.greet(hello(3, address="6.6.6.6:6"), certified="n1")
    assert fixture.links.addresses(3) == [second, first, THERE, listed]


@pytest.mark.parametrize("address", ["nowhere", "a:b", "1.2.3.4:99999"])
def test_a_hello_with_an_address_that_is_none_is_no_message(address: str) -> None:
    said = cbor2.loads(messages.encode(hello(1, address="a:1")))
    assert messages.decode(cbor2.dumps(said)) == hello(1, address="a:1")
    with pytest.raises(MalformedMessage):
        messages.decode(cbor2.dumps([*said[:-1], address]))


# Dialling.


@pytest.fixture
async def dialling(nursery: trio.Nursery) -> Fixture:
    """Give node 2, which keeps a link to node 3."""
    made = Fixture()
    nursery.start_soon(made.reactor.run)
    nursery.start_soon(made.links.keep, 3)
    return made


async def up(fixture: Fixture) -> bytes:
    """Let the dial that is due succeed; the link's name."""
    first = await fixture.answer(hello(3, link=b"of its own"))
    second = await fixture.answer(hello(3, link=b"of its own"))
    assert (first.link, first.stream, second.stream) == (second.link, 0, 1)
    assert [(peer, at) for _, peer, at in fixture.adopted()] == [(3, 0), (3, 1)]
    fixture.core.tell("link_up", 3, first.link)
    await wait_all_tasks_blocked()
    assert fixture.links.connected == {3}
    return first.link


async def test_a_link_that_fails_is_dialled_again(
    dialling: Fixture, autojump_clock: MockClock
) -> None:
    link = await up(dialling)
    await trio.sleep(1_000)
    assert dialling.core.take("dial") == []
    dialling.core.tell("link_down", 3, link, "the peer has hung up")
    await trio.sleep(1)
    assert await up(dialling) != link


async def test_nobody_is_dialled_who_has_dialled_meanwhile(
    dialling: Fixture, autojump_clock: MockClock
) -> None:
    token, _ = await dialling.dialled()
    for stream in STREAMS:
        assert dialling.greet(hello(3, stream)) is None
    dialling.core.tell("link_up", 3, NAME)
    dialling.core.tell("dial_failed", token, "refused")
    await trio.sleep(1_000)
    assert dialling.core.take("dial") == []
    assert dialling.links.connected == {3}


async def test_a_dial_that_comes_to_nothing_is_repeated_ever_more_slowly(
    dialling: Fixture, autojump_clock: MockClock
) -> None:
    waits = []
    for _ in range(12):
        before = trio.current_time()
        token, _ = await dialling.dialled()
        waits.append(trio.current_time() - before)
        dialling.core.tell("dial_failed", token, "refused")
        await wait_all_tasks_blocked()
    assert waits[0] < 0.1 < max(waits[1:3]) < 0.5
    assert all(1.4 < wait < 4.6 for wait in waits[7:])


async def test_a_peer_that_refuses_is_asked_again_and_its_connection_closed(
    dialling: Fixture, autojump_clock: MockClock
) -> None:
    await dialling.answer(Refusal("NOT_MEMBER", "go away"))
    assert len(dialling.core.take("close")) == 1
    await trio.sleep(1)
    await up(dialling)


@pytest.mark.parametrize(
    "wrong", [hello(1), hello(3, cluster=bytes(8)), Refusal("WRONG_CLUSTER", "")]
)
async def test_who_is_not_whom_we_want_is_not_taken(
    dialling: Fixture, wrong: Message, autojump_clock: MockClock
) -> None:
    await dialling.answer(wrong)
    assert dialling.adopted() == []
    assert len(dialling.core.take("close")) == 1


async def test_streams_of_two_lives_make_no_link(
    dialling: Fixture, autojump_clock: MockClock
) -> None:
    await dialling.answer(hello(3))
    await dialling.answer(hello(3, incarnation=2))
    assert len(dialling.adopted()) == 1
    assert len(dialling.core.take("close")) == 2


async def test_a_link_that_does_not_come_up_is_given_up(
    dialling: Fixture, autojump_clock: MockClock
) -> None:
    first = await dialling.answer(hello(3))
    await dialling.answer(hello(3))
    dialling.core.tell("link_down", 3, first.link, "it took too long")
    await wait_all_tasks_blocked()
    assert len(dialling.core.take("close")) == 2
    await trio.sleep(1)
    assert dialling.adopted() != []
    await up(dialling)


async def test_a_process_that_is_told_of_its_twin_ends(autojump_clock: MockClock) -> None:
    made = Fixture()
    with pytest.RaisesGroup(IdentityTaken):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.reactor.run)
            nursery.start_soon(made.links.keep, 3)
            await made.answer(Refusal("TAKEN", "node 2 was copied"))


async def test_the_node_with_the_higher_number_dials_later(autojump_clock: MockClock) -> None:
    made = Fixture(3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.reactor.run)
        nursery.start_soon(made.links.keep, 2)
        await trio.sleep(0.9)
        assert made.core.take("dial") == []
        await trio.sleep(0.2)
        assert len(made.core.take("dial")) == 1
        nursery.cancel_scope.cancel()


async def test_finishing_waits_until_peers_have_hung_up_and_takes_nobody_new(
    dialling: Fixture, autojump_clock: MockClock
) -> None:
    link = await up(dialling)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialling.links.finish)
        await trio.sleep(10)
        assert dialling.core.take("finish_links") == [()]
        assert dialling.greet(hello(1)) is None
        assert len(dialling.core.take("close")) == 1
        dialling.core.tell("link_down", 3, link, "the peer has hung up")
    await trio.sleep(100)
    assert dialling.core.take("dial") == []
