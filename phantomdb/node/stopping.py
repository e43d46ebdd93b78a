"""From a signal to the end of all that a node serves.

Stopping is no crash: the groups that this node leads are handed over first, so that others wait for
one vote and not for a silence; the statements that run here are answered, whoever's they are; then
the links close, with everything sent that was said. All of it has the grace; a second signal skips
what is left of it.
"""

import logging
import math
from collections.abc import Awaitable, Callable

import trio

from phantomdb.cluster.links import Links
from phantomdb.core import Node, Reactor

logger = logging.getLogger(__name__)

#: How long leaderships are offered to others before the node stops with them, in seconds: an
#: election timeout, in which an heir catches up or is no heir.
HAND_OVER_S = 1.0
#: Between two looks at what is led or runs here, in seconds.
LOOK_AGAIN_S = 0.01
#: How long peers may take to hang up, in seconds.
FINISH_S = 0.5
#: What the last sync has at least, in seconds, when serving has used up the grace.
CLOSE_S = 1.0


class Stopping:
    """Whether a node stops, how long it may take, and how it goes."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        #: Set once the node stops: nobody new is served.
        self.begun = trio.Event()
        #: Set once the doors of clients are closed and none is left.
        self.clients_gone = trio.Event()
        #: When a node that stops should be gone; never while it does not.
        self._end_of_grace = math.inf

    def patience_s(self) -> float:
        """Return how long the last sync may take: what is left of the grace, or a little."""
        left_s = self._end_of_grace - trio.current_time()
        return min(self._grace_s, max(CLOSE_S, left_s))

    async def run(
        self,
        reactor: Reactor,
        node: Node | None,
        links: Links | None,
        *,
        skip: Callable[[], Awaitable[None]],
    ) -> None:
        """Stop what there is in order, for as long as the grace lasts and `skip` has not come."""
        self.begun.set()
        self._end_of_grace = trio.current_time() + self._grace_s
        reactor.drain(self._grace_s)
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = self._end_of_grace
            nursery.start_soon(_cancel_on, skip, nursery.cancel_scope)
            if node is not None and links is not None:
                await _stop_in_order(node, links, self.clients_gone)
            nursery.cancel_scope.cancel()


async def _cancel_on(skip: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await skip()
    scope.cancel()


async def _stop_in_order(node: Node, links: Links, clients_gone: trio.Event) -> None:
    """Hand over, let everything be answered, hang up; cancelled, it stops where it stands."""
    with trio.move_on_after(HAND_OVER_S):
        await _hand_over(node)
    async with trio.open_nursery() as nursery:
        # What comes back to this node meanwhile, nobody else can lead now.
        nursery.start_soon(_keep_handing_over, node)
        await clients_gone.wait()
        while await _serves(node):
            await trio.sleep(LOOK_AGAIN_S)
        nursery.cancel_scope.cancel()
    with trio.move_on_after(FINISH_S):
        await links.finish()


async def _serves(node: Node) -> bool:
    """Whether statements run here, of whatever gateway."""
    await node.look()
    return node.stats()["requests"] > 0


async def _leave_all(node: Node) -> bool:
    """Leave every group that is led here; whether some could be led by another node."""
    await node.look()
    return any([await node.leave(group) for group in node.led()])  # All of them are asked.


async def _hand_over(node: Node) -> None:
    """Return once no group is led here that another node could lead."""
    while await _leave_all(node):
        await trio.sleep(LOOK_AGAIN_S)
    logger.info("leads no group that another node could lead")


async def _keep_handing_over(node: Node) -> None:
    while True:
        await _leave_all(node)
        await trio.sleep(LOOK_AGAIN_S)
