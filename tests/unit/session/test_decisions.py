# ruff: noqa: ARG001 - asking for `autojump_clock` makes waits pass at once
"""What sessions want is decided; a schema change is given up in time, or goes to its end."""

from typing import Any

import cbor2
import pytest
import trio
from kit.fake_core import FakeCore
from kit.fake_world import FakeWorld
from trio.testing import MockClock, wait_all_tasks_blocked

from phantomdb.core.events import SessionGone, SessionWants
from phantomdb.core.session_events import (
    CancelWanted,
    DropWanted,
    PlanWanted,
    WithdrawalWanted,
)
from phantomdb.planning.plan import FORMAT
from phantomdb.session.decisions import Decisions

SESSION = 4
DROP = DropWanted(9, (("public", "birds"),), if_exists=False)


class Fixture:
    """The decisions of a node over a core that a test moves."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.core = FakeCore(FakeWorld())
        self.reactor = self.core.reactor()
        nursery.start_soon(self.reactor.run)
        node = self.core.node(self.reactor)
        self.cancelled: list[tuple[int, int]] = []
        cancel = lambda pid, secret: self.cancelled.append((pid, secret))  # noqa: E731
        self.decisions = Decisions(node, nursery, cancel)

    def want(self, wanted: Any) -> None:
        """Let a session want something."""
        self.decisions.wanted(SessionWants(SESSION, wanted))

    def answers(self) -> list[tuple[int, Any]]:
        """Return (event, outcome) of what was answered since the last time."""
        resumed = self.core.take("resume")
        assert all(session == SESSION for session, _, _ in resumed)
        return [(event, cbor2.loads(outcome)) for _, event, outcome in resumed]

    async def answer(self, verb: str, value: object) -> None:
        """Answer what was asked of the core with a verb."""
        await wait_all_tasks_blocked()
        [(token, *_)] = self.core.take(verb)
        self.core.tell("ended", token, cbor2.dumps([True, value]))
        await wait_all_tasks_blocked()


@pytest.fixture
async def fixture(nursery: trio.Nursery) -> Fixture:
    return Fixture(nursery)


async def test_a_plan_is_answered_at_once(fixture: Fixture) -> None:
    fixture.want(PlanWanted(7, cbor2.dumps([FORMAT, 1, []])))
    [(event, outcome)] = fixture.answers()
    assert (event, outcome[0]) == (7, 0)


async def test_a_cancellation_goes_to_whoever_it_concerns(fixture: Fixture) -> None:
    fixture.want(CancelWanted(11, 12))
    assert fixture.cancelled == [(11, 12)]
    assert fixture.answers() == []


async def test_a_change_that_fails_is_answered_with_its_error(fixture: Fixture) -> None:
    fixture.want(DROP)
    await fixture.answer("read_rows", [[]])
    assert fixture.answers() == [(9, [2, ["42P01", 'table "birds" does not exist', ""]])]


@pytest.mark.parametrize("who", ["session", "withdrawal"])
async def test_a_change_is_given_up_while_nothing_of_it_can_be_seen(
    fixture: Fixture, who: str, autojump_clock: MockClock
) -> None:
    fixture.want(DROP)
    await wait_all_tasks_blocked()
    if who == "session":
        fixture.decisions.gone(SessionGone(SESSION + 1))
        fixture.decisions.gone(SessionGone(SESSION))
    else:
        fixture.want(WithdrawalWanted(8))
        fixture.want(WithdrawalWanted(9))
    await wait_all_tasks_blocked()
    [(event, outcome)] = fixture.answers()
    assert (event, outcome[:1], outcome[1][0]) == (9, [2], "57014")
    fixture.decisions.gone(SessionGone(SESSION))


async def test_a_change_that_was_withdrawn_before_it_began_is_given_up(fixture: Fixture) -> None:
    fixture.want(DROP)
    fixture.want(WithdrawalWanted(9))
    await wait_all_tasks_blocked()
    [(event, outcome)] = fixture.answers()
    assert (event, outcome[1][0]) == (9, "57014")


async def test_a_change_that_can_be_seen_goes_to_its_end(fixture: Fixture) -> None:
    fixture.want(DROP)
    await fixture.answer("read_rows", [[[(5).to_bytes(8, "big"), 1]]])
    # It has begun to commit: it looks the table up again, and finds that another was faster.
    fixture.decisions.gone(SessionGone(SESSION))
    fixture.want(WithdrawalWanted(9))
    await fixture.answer("read_rows", [[]])
    await fixture.answer("barrier", True)  # noqa: FBT003 - as it is in CBOR
    assert fixture.answers() == [(9, [1, []])]
