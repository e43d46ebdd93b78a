"""Answers find who waits for them; what comes late, twice or for nobody does no harm."""

from collections.abc import Callable

import cbor2
import pytest
import trio
from kit.fake_core import FakeCore
from kit.fake_world import FakeWorld
from trio.testing import wait_all_tasks_blocked

from phantomdb.base.errors import Conflict, Corrupted, DiskFailed, PhantomError
from phantomdb.base.world import Address
from phantomdb.core import NobodyAnswers, Reactor
from phantomdb.core.events import Answered, ClientsGone, Event

THERE = Address("127.0.0.1", 7)


class Running:
    """A reactor over a fake core, and what it has handed on."""

    def __init__(self) -> None:
        self.core = FakeCore(FakeWorld())
        self.reactor: Reactor = self.core.reactor()
        self.handed: list[Event] = []
        self.reactor.on_event = self.handed.append


@pytest.fixture
async def running(nursery: trio.Nursery) -> Running:
    made = Running()
    nursery.start_soon(made.reactor.run)
    return made


def ended(value: object) -> bytes:
    return cbor2.dumps([True, value])


def failed(sqlstate: str, message: str) -> bytes:
    return cbor2.dumps([False, [sqlstate, message]])


async def test_answers_find_who_asked_in_any_order(running: Running) -> None:
    answers: dict[str, object] = {}

    async def ask(name: str) -> None:
        answers[name] = await running.reactor.ask(running.core.look)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "first")
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, "second")
        await wait_all_tasks_blocked()
        [(first,), (second,)] = running.core.take("look")
        running.core.tell("ended", second, ended("b"))
        running.core.tell("ended", first, ended("a"))
    assert answers == {"first": "a", "second": "b"}


async def test_an_answer_that_is_an_error_is_raised_as_ours(running: Running) -> None:
    async def answer() -> None:
        await wait_all_tasks_blocked()
        [(token,)] = running.core.take("look")
        running.core.tell("ended", token, failed("40001", "somebody was first"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with pytest.raises(Conflict, match="somebody was first"):
            await running.reactor.ask(running.core.look)


async def test_answers_that_come_late_or_twice_are_nothing(running: Running) -> None:
    with trio.move_on_after(0):
        await running.reactor.ask(running.core.look)
    [(token,)] = running.core.take("look")
    for _ in range(2):
        running.core.tell("ended", token, ended(1))
    running.core.tell("ended", 999, ended(1))
    running.core.tell("clients_gone")
    await wait_all_tasks_blocked()
    assert running.handed == [ClientsGone()], "it goes on"


async def test_who_was_dialled_answers_or_nobody_does(running: Running) -> None:
    async def answer(make: Callable[[int], tuple[object, ...]]) -> None:
        await wait_all_tasks_blocked()
        [(token, to, message)] = running.core.take("dial")
        assert (to, message) == ("127.0.0.1:7", b"hello")
        running.core.tell(*make(token))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, lambda token: ("answer", token, 5, None, b"welcome"))
        answered = await running.reactor.dial(THERE, b"hello")
    assert answered == Answered(answered.token, 5, None, b"welcome")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, lambda token: ("dial_failed", token, "refused"))
        with pytest.raises(NobodyAnswers, match=r"127\.0\.0\.1:7: refused"):
            await running.reactor.dial(THERE, b"hello")


async def test_a_connection_that_nobody_waits_for_any_more_is_closed(running: Running) -> None:
    with trio.move_on_after(0):
        await running.reactor.dial(THERE, b"hello")
    [(token, _, _)] = running.core.take("dial")
    running.core.tell("answer", token, 5, None, b"welcome")
    await wait_all_tasks_blocked()
    assert running.core.take("close") == [(5,)]
    # It came in the same moment.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.reactor.dial, THERE, b"hello")
        await wait_all_tasks_blocked()
        [(token, _, _)] = running.core.take("dial")
        running.core.tell("answer", token, 6, None, b"welcome")
        nursery.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    assert running.core.take("close") == [(6,)]


@pytest.mark.parametrize(
    ("sqlstate", "wanted"), [("XX001", Corrupted), ("58030", DiskFailed), ("XX000", DiskFailed)]
)
async def test_what_has_ended_the_node_is_raised_and_not_stopped_again(
    sqlstate: str, wanted: type[PhantomError]
) -> None:
    running = Running()
    running.core.tell("clients_gone")
    running.core.fail(sqlstate, "it is over")
    with pytest.raises(wanted, match="it is over"):
        await running.reactor.run()
    assert running.handed == [ClientsGone()], "what was told before is heard"
    running.reactor.stop(1.0)
    assert running.core.take("stop") == []
