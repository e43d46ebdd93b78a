"""`Reactor`: the thread that has a node's sockets, as far as Python speaks with it.

Bytes of clients and peers never come here. What is to be decided comes as an event, which one task
takes (`run`) and hands on; what is wanted goes as a verb, and nothing waits for it to be done.
Where an answer is wanted, the verb carries a token, and the answer is an event too.

It starts before the node is formed, with the peer door open, and serves clients once it is told to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cbor2

from phantomdb import _core  # noqa: TID251 - this package is its door
from phantomdb.base.errors import PhantomError, by_sqlstate
from phantomdb.base.settings import Limits, Slots
from phantomdb.base.world import Address, World
from phantomdb.core.answers import answers, ends
from phantomdb.core.events import (
    Answered,
    DialFailed,
    Ended,
    Event,
    Reply,
    decode_event,
)
from phantomdb.core.replies import Replies
from phantomdb.core.security import Security

#: What this release can read that the first could not, a bit each; part of every handshake.
FEATURES: int = _core.FEATURES


class NobodyAnswers(OSError):
    """A dial came to nothing."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A connection that becomes a stream of a link, and whose."""

    connection: int
    peer: int
    incarnation: int
    features: int
    link: bytes
    number: int


class Reactor:
    """The sockets of one node."""

    def __init__(self, core: "_core.Reactor", world: World) -> None:
        self._core = core
        self._world = world
        self._replies = Replies(self._clear_up)
        #: Whether the node has ended itself: nothing that is not acknowledged is certain.
        self.has_failed = False
        #: Told of everything that nobody waits for by a token.
        self.on_event: Callable[[Event], None] = lambda _event: None

    @classmethod
    def start(
        cls,
        world: World,
        limits: Limits,
        slots: Slots,
        security: Security,
        *,
        peers: Sequence[int],
        clients: Sequence[int],
    ) -> "Reactor":
        """Start the thread with listening sockets, which are its own from now on."""
        seed = int.from_bytes(world.random.randbytes(8), "big")
        room = (slots.peer, slots.pg)
        with answers():
            core = _core.Reactor.start(
                list(peers),
                list(clients),
                room,
                limits.startup_s,
                limits.handshake_s,
                security.core,
                seed,
            )
        return cls(core, world)

    def secure(self, security: Security) -> None:
        """Ask this of connections from now on; those that are there keep what they have."""
        self._core.secure(security.core)

    async def run(self) -> None:
        """Hand events on for ever; raises what has ended the node."""
        wake = self._core.wakefd()
        while True:
            await self._world.wait_readable(wake)
            for told in self._core.take_events():
                event = decode_event(told)
                if isinstance(event, Reply):
                    self._replies.put(event)
                else:
                    self.on_event(event)
            try:
                with ends():
                    self._core.check()
            except PhantomError:
                self.has_failed = True
                raise

    def stop(self, patience_s: float) -> None:
        """Close all sockets and the core; what has failed is left to the process's end.

        Raises `DiskFailed` if the last sync fails, or has not ended after `patience_s` seconds:
        what was acknowledged holds all the same.
        """
        if not self.has_failed:
            with ends():
                self._core.stop(patience_s)

    # The core.

    @property
    def core(self) -> "_core.Reactor":
        """The verbs of the core, for `Node`."""
        return self._core

    async def ask(self, submit: Callable[[int], None]) -> object:
        """Submit something under a token and return what came of it; raises `PhantomError`."""
        reply = await self._replies.ask(submit)
        assert isinstance(reply, Ended), f"{reply} ends no question"
        ok, value = cbor2.loads(reply.outcome)
        if ok:
            return value
        raise by_sqlstate(value[0], value[1])

    # Connections between nodes.

    async def dial(self, to: Address, message: bytes) -> Answered:
        """Connect to a numeric address, say a first message, and return the answer.

        Its connection waits for `adopt` or `close`. Raises `NobodyAnswers`.
        """
        reply = await self._replies.ask(lambda token: self._core.dial(token, str(to), message))
        if isinstance(reply, DialFailed):
            raise NobodyAnswers(f"{to}: {reply.why}")
        assert isinstance(reply, Answered), f"{reply} is no answer of a dial"
        return reply

    def _clear_up(self, reply: Reply) -> None:
        if isinstance(reply, Answered):
            self._core.close(reply.connection)

    def say_last(self, connection: int, message: bytes) -> None:
        """Say something on a connection that is no link, and close it then."""
        self._core.say_last(connection, message)

    def adopt(self, stream: Stream, message: bytes | None) -> None:
        """Make a connection a stream of a link; `message` is said first, where a peer dialled.

        The link is up once it has all its streams, and takes the place of an older one.
        """
        s = stream
        peer = (s.peer, s.incarnation, s.features)
        self._core.adopt(s.connection, peer, s.link, s.number, message)

    def close(self, connection: int) -> None:
        """Close a connection that is no client's."""
        self._core.close(connection)

    def finish_links(self) -> None:
        """Send peers what waits for them and then the end; links end when they have hung up."""
        self._core.finish_links()

    # Doors of clients.

    def open_clients(self) -> None:
        """Serve clients from now on."""
        self._core.open_clients()

    def drain(self, grace_s: float) -> None:
        """Close the doors of clients; sessions end once they are idle, and all after `grace_s`."""
        self._core.drain(grace_s)
