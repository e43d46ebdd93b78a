"""A reactor of the extension that has no sockets: it records verbs and tells what a test says.

world = FakeWorld()
core = FakeCore(world)
reactor = core.reactor()
core.tell("link_up", 2, NAME)
assert core.take("adopt") == [(7, 2, 1, NAME, 0, None)]
"""

from collections.abc import Callable
from typing import Any, cast

import cbor2
from kit.fake_world import FakeWorld

from phantomdb import _core
from phantomdb.base.world import World
from phantomdb.core import Node, Reactor
from phantomdb.core.events import Event, Reply, decode_event

#: What a node of a cluster of three is, as the core writes it.
CLUSTER = 0x0123456789ABCDEF


def identity(node: int = 1, *, nodes: int = 3, incarnation: int = 1) -> bytes:
    """Return the identity of a node, whose peers are at 127.0.0.1:700N."""
    members = [[n, f"n{n}", f"127.0.0.1:{7000 + n}"] for n in range(1, nodes + 1)]
    return cbor2.dumps([CLUSTER, node, incarnation, members, b""])


class FakeCore:
    """What `phantomdb.core` takes for the extension's reactor."""

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self._events: list[tuple[Any, ...]] = []
        self.said: list[tuple[Any, ...]] = []
        #: What has ended it: (SQLSTATE, message).
        self.failure: tuple[str, str] | None = None
        self.groups: list[dict[str, Any]] = []
        self.numbers: dict[str, int] = {}

    def reactor(self) -> Reactor:
        """Return a reactor over this."""
        return Reactor(cast("_core.Reactor", self), cast("World", self._world))

    def node(self, reactor: Reactor, number: int = 1, *, incarnation: int = 1) -> Node:
        """Return a node over this, of a cluster of three."""
        return Node(reactor, identity(number, incarnation=incarnation))

    def __getattr__(self, verb: str) -> Callable[..., None]:
        """Record any verb."""
        return lambda *fields: self.said.append((verb, *fields))

    def take(self, verb: str) -> list[tuple[Any, ...]]:
        """Return what was said with a verb since the last time, without the verb."""
        taken = [fields[1:] for fields in self.said if fields[0] == verb]
        self.said = [fields for fields in self.said if fields[0] != verb]
        return taken

    def tell(self, *event: object) -> None:
        """Let an event be taken."""
        self._events.append(event)
        self._world.wake()

    def fail(self, sqlstate: str, message: str) -> None:
        """End, as a core does whose disk has failed."""
        self.failure = (sqlstate, message)
        self._world.wake()

    # What the extension answers.

    def wakefd(self) -> int:
        """Return no descriptor: the world does not look at it."""
        return -1

    def take_events(self) -> list[tuple[Any, ...]]:
        """Return what was told."""
        taken, self._events = self._events, []
        return taken

    def check(self) -> None:
        """Raise what has ended it."""
        if self.failure is not None:
            raise _core.CoreError(*self.failure)

    def status(self) -> bytes:
        """Return `groups`."""
        return cbor2.dumps(self.groups)

    def stats(self) -> bytes:
        """Return `numbers`."""
        return cbor2.dumps(self.numbers)

    def counters(self) -> dict[str, int]:
        """Return none."""
        return {}

    def hlc(self) -> int:
        """Return a time."""
        return 1 << 16


def told(*event: object) -> Event | Reply:
    """Return an event as the reactor's task reads it."""
    return decode_event(event)
