from itertools import pairwise

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from kit.fake_world import FakeWorld

from phantomdb.consensus.elections import (
    JITTER_S,
    RANK_STEP_S,
    WAVE_GROUPS,
    ElectionController,
    plan,
)

GROUPS = st.lists(st.integers(1, 5_000), max_size=1_000)
VOTERS = st.lists(st.integers(1, 99), min_size=1, max_size=7, unique=True)


@given(GROUPS, VOTERS, st.data())
def test_each_group_that_is_due_is_in_one_wave(
    due: list[int], voters: list[int], data: st.DataObject
) -> None:
    node = data.draw(st.sampled_from(voters))
    waves = plan(due, node, voters, lambda: 0.5)
    planned = [group for wave in waves for group in wave.groups]
    assert sorted(planned) == sorted(set(due))
    assert all(0 < len(wave.groups) <= WAVE_GROUPS for wave in waves)
    assert [wave.delay_s for wave in waves] == sorted(wave.delay_s for wave in waves)
    assert waves == plan(list(reversed(due)), node, list(reversed(voters)), lambda: 0.5)


@given(st.integers(1, 5_000), VOTERS)
def test_one_node_goes_first_and_none_together(group: int, voters: list[int]) -> None:
    delays = sorted(plan([group], node, voters, lambda: 0.0)[0].delay_s for node in voters)
    assert delays[0] == 0
    steps = [b - a for a, b in pairwise(delays)]
    assert all(step > JITTER_S for step in steps), "jitter does not make two nodes meet"


@given(st.integers(1, 5_000), VOTERS, st.data())
def test_a_node_with_a_full_disk_lets_all_others_try_first(
    group: int, voters: list[int], data: st.DataObject
) -> None:
    full = data.draw(st.sampled_from(voters))
    [last] = plan([group], full, voters, lambda: 0.0, is_fit=False)
    others = [plan([group], n, voters, lambda: 1.0)[0].delay_s for n in voters if n != full]
    assert all(last.delay_s > delay_s + RANK_STEP_S for delay_s in others)


def test_nodes_take_turns_at_being_first() -> None:
    first = [
        next(n for n in (1, 2, 3) if plan([g], n, [1, 2, 3], lambda: 0.0)[0].delay_s == 0)
        for g in range(1, 7)
    ]
    assert first == [2, 3, 1, 2, 3, 1]


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_stays_below_its_bound(drawn: float) -> None:
    [wave] = plan([1], 2, [1, 2, 3], lambda: drawn)
    assert 0 <= wave.delay_s < JITTER_S or drawn == 0


async def test_the_controller_campaigns_when_a_wave_is_due(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    asked: list[tuple[float, list[int]]] = []
    controller = ElectionController(
        FakeWorld(), 1, [1, 2, 3], lambda groups: asked.append((trio.current_time(), groups))
    )
    begin = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(controller.run)
        controller.due([1, 2, 3])
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert [groups for _, groups in asked] == [[3], [2], [1]]
    for rank, (when, _) in enumerate(asked):
        assert rank * RANK_STEP_S <= when - begin <= rank * RANK_STEP_S + JITTER_S


async def test_reports_beyond_what_is_held_are_dropped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    controller = ElectionController(FakeWorld(), 1, [1, 2, 3], lambda _: None)
    for _ in range(5_000):
        controller.due([1])
