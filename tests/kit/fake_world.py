"""A world in memory for tests of one part: seeded draws, names that stand for themselves.

With trio's `autojump_clock` time passes at once.
"""

import random

import trio

from phantomdb.base.world import Address


class FakeNetwork:
    """Resolves every name to itself, and some to what they are told to be."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    async def resolve(self, address: Address) -> list[Address]:
        """Return the addresses of a name."""
        await trio.lowlevel.checkpoint()
        hosts = self.names.get(address.host, [address.host])
        return [Address(host, address.port) for host in hosts]


class FakeWorld:
    """All of it."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.network = FakeNetwork()
        self._readable = trio.Event()

    def wake(self) -> None:
        """Make the reactor's descriptor readable once."""
        self._readable.set()

    async def wait_readable(self, _fd: int) -> None:
        """Wait until it is."""
        await self._readable.wait()
        self._readable = trio.Event()
