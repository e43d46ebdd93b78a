"""A world in memory for tests of one part: a seeded stream, connections by address.

With trio's `autojump_clock` time passes at once.
"""

import random

import trio
import trio.testing

from phantomdb.base.world import Address, Listener, Stream


class FakeListener:
    """Hands out the other ends of connections."""

    def __init__(self, address: Address, network: "FakeNetwork") -> None:
        self.address = address
        self._network = network
        self.arrived, self._arrivals = trio.open_memory_channel[Stream](16)

    async def accept(self) -> tuple[Stream, Address]:
        """Return the next connection."""
        return await self._arrivals.receive(), Address("fake", 1)

    async def aclose(self) -> None:
        """Let nobody connect any more."""
        self._network.listeners.pop(self.address, None)


class FakeNetwork:
    """Connects by address; an address without a listener refuses."""

    def __init__(self) -> None:
        self.listeners: dict[Address, FakeListener] = {}

    async def listen(self, address: Address) -> Listener:
        """Listen."""
        listener = self.listeners[address] = FakeListener(address, self)
        return listener

    async def connect(self, address: Address) -> Stream:
        """Connect."""
        await trio.lowlevel.checkpoint()
        if address not in self.listeners:
            raise ConnectionRefusedError(str(address))
        ours, theirs = trio.testing.memory_stream_pair()
        await self.listeners[address].arrived.send(theirs)
        return ours


class FakeWorld:
    """All of it."""

    def __init__(self, seed: int = 0, network: FakeNetwork | None = None) -> None:
        self.random = random.Random(seed)
        self.network = network or FakeNetwork()
