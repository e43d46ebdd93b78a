"""Links between nodes: whom this node dials, who may be a peer, which links are up.

The bytes of a link are the reactor's: two streams, 0 for consensus and control, 1 for bulk, so that
a large answer delays no vote. Both sides of a pair dial; the node with the lower id first, the
other a second later. The newest link wins: it carries the newest state of the peer. A link that
fails is dialled again after 0.1 to 3 s, one attempt at a time, and none while another is up.

A handshake is one `Hello` each way on each stream, and nothing else before.

A directory that was copied and started twice would vote twice and acknowledge what only one of the
two has. So each node remembers the newest life of each peer that it was linked with. It refuses an
older one, and another process with the same count of starts (TAKEN); the one that is told so ends.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import trio

from phantomdb.base.errors import IdentityTaken
from phantomdb.base.settings import Limits
from phantomdb.base.world import Address, Random
from phantomdb.cluster.dialling import Dialler
from phantomdb.core import FEATURES, Node, Reactor, Stream
from phantomdb.core.events import LinkDown, LinkUp
from phantomdb.wire import messages
from phantomdb.wire.messages import Hello, MalformedMessage, Message, Refusal

logger = logging.getLogger(__name__)

#: Streams of a pair of nodes.
STREAMS = (0, 1)
#: A link's name has so many bytes.
NAME_BYTES = 16
_RETRY_FIRST_S = 0.1
_RETRY_MAX_S = 3.0
_HIGHER_DIALS_AFTER_S = 1.0


class LinkRefused(Exception):
    """The peer does not want this link, or is not whom we want."""


@dataclass(slots=True, eq=False)
class _Peer:
    """What is known of the link to a peer."""

    #: Where it has said that it is.
    told: Address | None = None
    #: The name of the link that is up.
    up: bytes | None = None
    #: Set, and replaced, whenever a link of this peer has come or gone.
    changed: trio.Event = field(default_factory=trio.Event)

    def change(self, up: bytes | None) -> None:
        self.up = up
        self.changed.set()
        self.changed = trio.Event()


@dataclass(slots=True, eq=False)
class _Arriving:
    """A link that is not complete: who says to be the peer, and which streams have come."""

    node: int
    incarnation: int
    life: bytes
    streams: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Where:
    """Where nodes are, as far as others than their links tell."""

    #: What peers are told of this node.
    own: Address
    #: Where a member has said in its row that it is.
    in_rows: Callable[[int], Address | None]
    #: The list that this node was started with.
    join: Sequence[Address] = ()


class Links:
    """All links of a node, whoever dialled them; at most one is up for each peer."""

    def __init__(
        self,
        node: Node,
        reactor: Reactor,
        dialler: Dialler,
        random: Random,
        limits: Limits,
        software: str,
        *,
        where: Where,
    ) -> None:
        self._node = node
        self._reactor = reactor
        self._dialler = dialler
        self._random = random
        self._limits = limits
        self._software = software
        self._where = where
        self._peers = {peer: _Peer() for peer in node.members if peer != node.id}
        self._arriving: dict[bytes, _Arriving] = {}
        #: Drawn by this process: no other has it, whatever directory it was given.
        self._life = random.randbytes(16)
        #: The newest life of each peer that there was a link with: its start's number and name.
        self._lives: dict[int, tuple[int, bytes]] = {}
        self._is_finishing = False

    @property
    def connected(self) -> frozenset[int]:
        """Peers that are linked."""
        return frozenset(number for number, peer in self._peers.items() if peer.up is not None)

    async def finish(self) -> None:
        """Send what waits for the peers, say that it is all, and wait until they have hung up.

        Closed at once, a link would be reset, and take the last answers with it.
        """
        self._is_finishing = True
        self._reactor.finish_links()
        for peer in self._peers.values():
            while peer.up is not None:
                await peer.changed.wait()

    # What the reactor tells.

    def came(self, event: LinkUp) -> None:
        """Take that a link is up."""
        self._arriving.pop(event.link, None)
        logger.info("peer %d is up", event.peer)
        self._peers[event.peer].change(event.link)

    def went(self, event: LinkDown) -> None:
        """Take that a link is down, or has come to nothing."""
        self._arriving.pop(event.link, None)
        peer = self._peers[event.peer]
        if peer.up == event.link:
            logger.info("peer %d is down: %s", event.peer, event.why)
            peer.change(None)
        else:
            logger.debug("a link to peer %d has come to nothing: %s", event.peer, event.why)
            peer.change(peer.up)

    def greeted(self, connection: int, hello: Hello, certified: str | None) -> None:
        """Take a stream that a peer has dialled, or tell it why not.

        `certified` is the node that its certificate names, where links are encrypted.

        Raises `MalformedMessage` for a link without a name.
        """
        if self._is_finishing:
            self._reactor.close(connection)
            return
        refusal = self._refusal(hello, certified)
        if refusal is None and hello.stream not in STREAMS:
            refusal = Refusal("WRONG_VERSION", f"there is no stream {hello.stream}")
        if refusal is None and len(hello.link) != NAME_BYTES:
            raise MalformedMessage(f"a link's name has {NAME_BYTES} bytes, not {len(hello.link)}")
        if refusal is not None:
            logger.warning("peer %d refused: %s: %s", hello.node, refusal.code, refusal.detail)
        elif not self._adopt(connection, hello, self._hello(hello.link, hello.stream)):
            refusal = Refusal("NOT_MEMBER", "this stream is there already")
        if refusal is not None:
            self._reactor.say_last(connection, messages.encode(refusal))

    def _adopt(self, connection: int, hello: Hello, answer: Hello | None) -> bool:
        """Make a connection a stream of its link; false if that has it already."""
        link = self._arriving.get(hello.link)
        if link is None:
            link = _Arriving(hello.node, hello.incarnation, hello.life)
        is_same = (link.node, link.incarnation) == (hello.node, hello.incarnation)
        if hello.stream in link.streams or not is_same:
            return False
        if hello.address:
            self._peers[hello.node].told = Address.parse(hello.address)
        self._arriving[hello.link] = link
        link.streams.add(hello.stream)
        if len(link.streams) == len(STREAMS):
            self._lives[hello.node] = (link.incarnation, link.life)
        stream = Stream(
            connection, hello.node, hello.incarnation, hello.features, hello.link, hello.stream
        )
        self._reactor.adopt(stream, messages.encode(answer) if answer else None)
        return True

    # Dialling.

    async def keep(self, number: int) -> None:
        """Keep a link to a peer up until this node finishes.

        Raises `IdentityTaken` if the peer knows another process as this node.
        """
        peer = self._peers[number]
        later_s = _HIGHER_DIALS_AFTER_S if number < self._node.id else 0.0
        retry_s = 0.0
        await trio.sleep(later_s)
        while not self._is_finishing:
            while peer.up is not None:
                await peer.changed.wait()
                retry_s = _RETRY_FIRST_S + later_s
            # One that the peer has dialled may be about to come up.
            await trio.sleep(retry_s * (0.5 + self._random.random()))
            retry_s = min(max(retry_s * 2, _RETRY_FIRST_S), _RETRY_MAX_S)
            for address in self.addresses(number):
                if number in self.connected or self._is_finishing:
                    break
                try:
                    await self._dial(number, peer, address)
                except (OSError, trio.TooSlowError) as error:
                    logger.debug("peer %d at %s: %r", number, address, error)
                except (LinkRefused, MalformedMessage) as error:
                    logger.warning("peer %d at %s: %s", number, address, error)

    def addresses(self, number: int) -> list[Address]:
        """Where a peer may be, the newest news first.

        Nodes come back elsewhere. Who has moved tells whom it dials; where all have moved, the list
        that this node was started with may name where they are now.
        """
        charter = {n: Address.parse(text) for n, (_, text) in self._node.members.items()}
        newest = [self._peers[number].told, self._where.in_rows(number), charter[number]]
        others = {self._where.own, *(charter[n] for n in charter if n != number)}
        others |= {
            peer.told for n, peer in self._peers.items() if n != number and peer.told is not None
        }
        listed = [address for address in self._where.join if address not in others]
        return list(dict.fromkeys([*(it for it in newest if it is not None), *listed]))

    async def _dial(self, number: int, peer: _Peer, address: Address) -> None:
        """Dial all streams of one link, and return once it is up or another is."""
        name = self._random.randbytes(NAME_BYTES)
        taken: list[int] = []
        try:
            with trio.fail_after(self._limits.handshake_s):
                for stream in STREAMS:
                    answered = await self._dialler.dial(address, self._hello(name, stream))
                    taken.append(answered.connection)
                    answer = messages.decode(answered.message)
                    said = self._checked(answer, number, answered.certified)
                    # Of its own it says who it is; which link this is, we do.
                    hello = replace(said, link=name, stream=stream)
                    if not self._adopt(answered.connection, hello, None):
                        raise LinkRefused("another life of the peer has answered its other stream")
                while peer.up is None and name in self._arriving:
                    await peer.changed.wait()
        finally:
            if peer.up != name:
                for connection in taken:
                    self._reactor.close(connection)

    def _hello(self, link: bytes, stream: int) -> Hello:
        node = self._node
        return Hello(
            messages.PROTOCOL_MIN,
            messages.PROTOCOL_MAX,
            self._software,
            node.cluster.to_bytes(8, "big"),
            node.id,
            node.incarnation,
            link,
            stream,
            node.hlc(),
            self._life,
            str(self._where.own),
            FEATURES,
        )

    def _checked(self, answer: Message, peer: int, certified: str | None) -> Hello:
        if isinstance(answer, Refusal) and answer.code == "TAKEN":
            raise IdentityTaken(
                f"node {peer} is linked with another process that is this node: {answer.detail}",
                hint="Run one process of a directory; a copy of one is no new node.",
            )
        if isinstance(answer, Refusal):
            raise LinkRefused(f"{answer.code}: {answer.detail}")
        if not isinstance(answer, Hello):
            raise LinkRefused(f"it answers with {type(answer).__name__}")
        refusal = self._refusal(answer, certified)
        if refusal is None and answer.node != peer:
            refusal = Refusal("NOT_MEMBER", f"node {answer.node} answers where {peer} should")
        if refusal is not None:
            raise LinkRefused(f"{refusal.code}: {refusal.detail}")
        return answer

    # Who may be a peer.

    def _refusal(self, hello: Hello, certified: str | None) -> Refusal | None:
        """Why a peer is not wanted, if so."""
        node = self._node
        if hello.cluster != node.cluster.to_bytes(8, "big"):
            return Refusal("WRONG_CLUSTER", f"this is cluster {node.cluster:016x}")
        low = max(hello.protocol_min, messages.PROTOCOL_MIN)
        high = min(hello.protocol_max, messages.PROTOCOL_MAX)
        if low > high:
            spoken = f"{messages.PROTOCOL_MIN} to {messages.PROTOCOL_MAX}"
            return Refusal("WRONG_VERSION", f"this node speaks protocol {spoken}")
        if hello.node not in self._peers:
            return Refusal("NOT_MEMBER", f"node {hello.node} is no other member of this cluster")
        name, _ = node.members[hello.node]
        if certified not in (None, name):
            why = f"{certified} has shown its certificate, and node {hello.node} is {name}"
            return Refusal("NOT_MEMBER", why)
        taken = self._taken(hello.node, hello.incarnation, hello.life)
        return Refusal("TAKEN", taken) if taken else None

    def _taken(self, peer: int, incarnation: int, life: bytes) -> str:
        """Why a process is not the peer that this node was linked with last, if so."""
        newest, its_life = self._lives.get(peer, (0, b""))
        if incarnation < newest:
            return f"node {peer} was started {newest} times, and this is start {incarnation}"
        # A release that draws no life cannot be told from its twin.
        if incarnation == newest and its_life and life not in (b"", its_life):
            return f"node {peer} was copied before its start {incarnation}"
        return ""
