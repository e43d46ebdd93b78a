"""What the log says of the clock."""

import pytest
import trio
import trio.testing

from phantomdb.core.events import ClockChanged
from phantomdb.node.clocks import ClockLog


async def test_the_log_says_what_a_node_waits_for_and_how_long(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    del autojump_clock
    caplog.set_level("INFO")
    log = ClockLog()
    log.changed(ClockChanged("waits", 8_000))
    await trio.sleep(8.1)
    log.changed(ClockChanged("settled", 0))
    log.changed(ClockChanged("starts", 10_000))
    log.changed(ClockChanged("starts", 1_000))
    log.changed(ClockChanged("asks", 0))
    log.changed(ClockChanged("forward", 3_600_000))
    said = [f"{record.levelname}: {record.getMessage()}" for record in caplog.records]
    assert said[0] == (
        "WARNING: the clock is ahead of the other nodes' and waits 8.0 s, until theirs has come as"
        " far; meanwhile this node serves nothing"
    )
    assert said[1:] == [
        "INFO: the clock goes on after 8.1 s",
        "WARNING: the clock waits at most 10.0 s, for stamps before the start",
        "INFO: the clock waits at most 1.0 s, for stamps before the start",
        "INFO: the clock waits for a majority of the nodes: this one has no time yet",
        "INFO: the clock went 3600.0 s forward, to the other nodes' time",
    ]
