"""When this node campaigns for groups that have lost their leader.

The core reports groups whose election timer has run out; `plan` decides, purely, how long to wait
for each, so that one of several nodes goes first; `ElectionController` waits and asks. The core
checks everything again: a campaign too many costs a moment, never safety.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from phantomdb.base.world import World

#: Between the first node's campaign and the second's, in seconds.
RANK_STEP_S = 0.15
#: Added at random, so that equals do not meet again, in seconds.
JITTER_S = 0.05
#: Groups that campaign at once; the rest follow at this distance, in seconds.
WAVE_GROUPS = 200
WAVE_STEP_S = 0.1
#: How much later an unfit node campaigns, in seconds: longer than an election timeout and all
#: ranks, so that it leads only where nobody else can: its disk is full or stalled, or it stops.
UNFIT_DELAY_S = 3.0


@dataclass(frozen=True, slots=True)
class Wave:
    """Groups to campaign for, and after how many seconds."""

    delay_s: float
    groups: tuple[int, ...]


def plan(
    due: Sequence[int],
    node: int,
    voters: Sequence[int],
    jitter: Callable[[], float],
    *,
    is_fit: bool = True,
) -> list[Wave]:
    """Return the waves for groups that are due; the system group goes first.

    Nodes take turns at being first, by group number, so that leaders spread; one that is not fit is
    last. `jitter` draws from [0, 1).
    """
    first_s = 0.0 if is_fit else UNFIT_DELAY_S
    order = sorted(voters)
    ranked: dict[int, list[int]] = {}
    for group in sorted(set(due)):
        rank = (order.index(node) - group) % len(order)
        ranked.setdefault(rank, []).append(group)
    waves = []
    for rank, groups in sorted(ranked.items()):
        for at in range(0, len(groups), WAVE_GROUPS):
            step_s = rank * RANK_STEP_S + at // WAVE_GROUPS * WAVE_STEP_S
            delay_s = first_s + step_s + jitter() * JITTER_S
            waves.append(Wave(delay_s, tuple(groups[at : at + WAVE_GROUPS])))
    return sorted(waves, key=lambda wave: wave.delay_s)


class ElectionController:
    """Carries plans out."""

    def __init__(
        self,
        world: World,
        node: int,
        voters: Sequence[int],
        campaign: Callable[[list[int]], object],
        is_fit: Callable[[], bool] = lambda: True,
    ) -> None:
        self._world = world
        self._node = node
        self._voters = voters
        self._campaign = campaign
        self._is_fit = is_fit
        self._send, self._receive = trio.open_memory_channel[tuple[int, ...]](1024)

    def due(self, groups: Sequence[int]) -> None:
        """Take the core's report; more than can be held are reported again later."""
        try:
            self._send.send_nowait(tuple(groups))
        except trio.WouldBlock:
            return

    async def run(self) -> None:
        """Campaign for what is reported, for ever."""
        async with trio.open_nursery() as nursery:
            async for groups in self._receive:
                draw, is_fit = self._world.random.random, self._is_fit()
                for wave in plan(groups, self._node, self._voters, draw, is_fit=is_fit):
                    nursery.start_soon(self._ride, wave)

    async def _ride(self, wave: Wave) -> None:
        await trio.sleep(wave.delay_s)
        self._campaign(list(wave.groups))
