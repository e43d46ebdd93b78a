"""The real world: this machine's clocks, randomness, sockets and signals."""

import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Self

import trio

from phantomdb.base.world import Address, Listener, Stream

#: Connections that may wait for `accept`.
_BACKLOG = 1024


class RealClock:
    """The machine's clocks."""

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return nanoseconds since an arbitrary start."""
        return time.monotonic_ns()


class RealListener:
    """A listening socket."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        host, port = listener.socket.getsockname()[:2]
        self._address = Address(host, port)

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._address

    async def accept(self) -> tuple[Stream, Address]:
        """Return the next connection."""
        stream = await self._listener.accept()
        peer = stream.socket.getpeername()
        return stream, Address(peer[0], peer[1])

    async def aclose(self) -> None:
        """Close it."""
        await self._listener.aclose()


class RealNetwork:
    """TCP."""

    async def listen(self, address: Address) -> Listener:
        """Listen; raises `OSError` if the address is in use or not ours."""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await sock.bind((address.host, address.port))
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
        return RealListener(trio.SocketListener(sock))

    async def connect(self, address: Address) -> Stream:
        """Connect; raises `OSError` if nobody answers."""
        return await trio.open_tcp_stream(address.host, address.port)


class RealWorld:
    """The world that a node has in production."""

    def __init__(self) -> None:
        self.clock = RealClock()
        self.random = random.SystemRandom()
        self.network = RealNetwork()

    @classmethod
    def make(cls) -> Self:
        """Return it; refuses `python -O`, which would leave our asserts out."""
        if not __debug__:
            raise SystemExit("phantomdb: run without -O: its asserts are part of its safety")
        return cls()

    def move_on_after(self, seconds: float) -> trio.CancelScope:
        """Cancel what is inside after `seconds`."""
        return trio.move_on_after(seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        await trio.sleep(seconds)

    async def wait_readable(self, fd: int) -> None:
        """Wait until a file descriptor has something to read."""
        await trio.lowlevel.wait_readable(fd)

    @contextlib.contextmanager
    def on_terminate(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Give a function that waits for the next SIGTERM or SIGINT."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

            async def wait() -> None:
                async for _ in signals:
                    return

            yield wait

    @staticmethod
    def cores() -> int:
        """How many processors this process may use."""
        return len(os.sched_getaffinity(0))
