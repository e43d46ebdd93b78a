"""What the log says of this node's clock.

The core decides alone what it waits for and where its time goes
(`rust_core/node/src/replication/clock`); each of its steps is a line here. Wall clocks are not
compared: a wrong one shows in the log of its own machine's time service, not here.
"""

import logging

import trio

from phantomdb.core.events import ClockChanged

logger = logging.getLogger(__name__)

#: A wait of less than this is part of every start and no warning, in milliseconds.
USUAL_WAIT_MS = 2_000


class ClockLog:
    """Writes the core's news of the clock down."""

    def __init__(self) -> None:
        self._waits_since: float | None = None

    def changed(self, news: ClockChanged) -> None:
        """Take one."""
        what, ms = news.what, news.ms
        if what in {"starts", "asks", "waits"}:
            self._waits_since = trio.current_time()
        if what == "starts":
            level = logging.INFO if ms <= USUAL_WAIT_MS else logging.WARNING
            logger.log(
                level, "the clock waits at most %.1f s, for stamps before the start", ms / 1e3
            )
        elif what == "asks":
            logger.info("the clock waits for a majority of the nodes: this one has no time yet")
        elif what == "waits":
            logger.warning(
                "the clock is ahead of the other nodes' and waits %.1f s, until theirs has come as"
                " far; meanwhile this node serves nothing",
                ms / 1e3,
            )
        elif what == "settled":
            logger.info("the clock goes on after %.1f s", self._waited_s())
        else:
            logger.info("the clock went %.1f s forward, to the other nodes' time", ms / 1e3)

    def _waited_s(self) -> float:
        since, self._waits_since = self._waits_since, None
        return trio.current_time() - since if since is not None else 0.0
