"""What a node looks after while nobody asks: other nodes' doors, its own row, what was left over.

Leftovers of schema changes are looked for by the leader of the system group: when it has become
that, when its group has changed, and once more when it has not for so long that nothing in it is
too young to be judged. A catalog at rest is not read.

What fails is said once, and again when it fails otherwise; it is tried again in any case.
"""

import logging
import math
from collections.abc import Awaitable, Callable

import trio

from phantomdb.base.errors import PhantomError
from phantomdb.catalog.keys import SYSTEM_GROUP
from phantomdb.cluster.membership import Membership
from phantomdb.core import Node
from phantomdb.session.schema import LEFTOVER_MS, SchemaChanges

logger = logging.getLogger(__name__)

#: Between two looks at what other nodes say of themselves and what is left over, in seconds.
HOUSEKEEPING_S = 5.0
#: The same while some node has not said where its doors are, in seconds.
ACQUAINT_S = 0.5
#: After a change leftovers are looked for once more, in seconds: then none is too young.
LOOK_AGAIN_S = 2 * LEFTOVER_MS / 1_000
#: Before it is tried again to write this node's own row, in seconds.
ANNOUNCE_AGAIN_S = 1.0


class Housekeeper:
    """Keeps one node's house."""

    def __init__(self, node: Node, membership: Membership) -> None:
        self._node = node
        self._membership = membership
        self._schema = SchemaChanges(node)
        #: What failed last, by what was tried.
        self._trouble: dict[str, str] = {}
        #: The term and the applied index at which leftovers were looked for last.
        self._looked_at: tuple[int, int] | None = None
        #: When to look once more, in trio's time.
        self._look_again_at = math.inf

    async def announce(self) -> None:
        """Write this node's own row: where its doors are."""
        announce = self._membership.announce
        while not await self._tried("tell where this node's doors are", announce):
            await trio.sleep(ANNOUNCE_AGAIN_S)

    async def run(self) -> None:
        """Look after everything, for ever."""
        while True:
            await self._tried("learn where other nodes' doors are", self._membership.learn)
            await self._tried("end what was left over of schema changes", self._clear_up)
            is_complete = self._membership.is_complete
            await trio.sleep(HOUSEKEEPING_S if is_complete else ACQUAINT_S)

    async def _clear_up(self) -> None:
        system = next(g for g in self._node.status() if g.id == SYSTEM_GROUP)
        if system.leader != self._node.id:
            self._looked_at = None
            return
        now = trio.current_time()
        place = (system.term, system.applied)
        if place == self._looked_at and now < self._look_again_at:
            return
        # What has just changed may be half of a change whose node has died.
        is_new = place != self._looked_at
        await self._schema.finish_leftovers(self._node.hlc())
        self._looked_at = place
        self._look_again_at = now + LOOK_AGAIN_S if is_new else math.inf

    async def _tried(self, what: str, act: Callable[[], Awaitable[None]]) -> bool:
        """Do something that may fail for now; whether it went well."""
        try:
            await act()
        except PhantomError as error:
            trouble = f"{error.sqlstate}: {error.message}"
            if self._trouble.get(what) != trouble:
                logger.warning("cannot %s yet: %s", what, trouble)
            self._trouble[what] = trouble
            return False
        if self._trouble.pop(what, None) is not None:
            logger.info("could %s again", what)
        return True
