# ruff: noqa: ARG001, ARG002 - stands in for a node; asking for `autojump_clock` makes waits pass
from typing import cast

import trio
import trio.testing
from trio.testing import MockClock

from phantomdb.base.settings import Limits
from phantomdb.base.world import Address
from phantomdb.core import Node
from phantomdb.core.node import Signal
from phantomdb.core.session_events import SessionEvent
from phantomdb.serve import pg

STARTUP = b"a whole startup packet"


class Sessions:
    """A node whose one session has started once it was fed `STARTUP`."""

    def __init__(self) -> None:
        self.fed = b""
        self.is_open = False

    def open_session(self) -> int:
        self.is_open = True
        return 1

    def session_signal(self, session: int) -> Signal:
        return Signal()

    def feed_session(self, session: int, data: bytes) -> int:
        self.fed += data
        return len(data)

    def session_is_starting(self, session: int) -> bool:
        return not self.fed.startswith(STARTUP)

    def session_is_closing(self, session: int) -> bool:
        return False

    def next_session_event(self, session: int) -> None:
        return None

    def take_session_out(self, session: int) -> None:
        return None

    def close_session(self, session: int) -> None:
        self.is_open = False


async def decide(session: int, event: SessionEvent) -> None:
    raise AssertionError("nothing is to be decided")


async def is_open_long_after(sent: bytes) -> bool:
    """Whether a connection is open ten times `startup_s` after its client has sent something."""
    node, limits = Sessions(), Limits()
    serve = pg.sessions(cast("Node", node), decide, limits, trio.Event())
    client, server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, server, Address("client", 1))
        if sent:
            await client.send_all(sent)
        await trio.sleep(limits.startup_s * 10)
        is_open = node.is_open
        nursery.cancel_scope.cancel()
    assert not node.is_open
    return is_open


async def test_a_connection_that_says_nothing_is_dropped(autojump_clock: MockClock) -> None:
    assert not await is_open_long_after(b"")


async def test_a_connection_that_stops_within_its_startup_packet_is_dropped(
    autojump_clock: MockClock,
) -> None:
    assert not await is_open_long_after(STARTUP[:-1])


async def test_a_session_that_has_started_may_be_silent(autojump_clock: MockClock) -> None:
    assert await is_open_long_after(STARTUP)
