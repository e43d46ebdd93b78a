"""Links between nodes: two streams to each peer, each with a reader and a writer task.

Stream 0 carries consensus and control, stream 1 bulk, so that a large answer delays no vote. Both
sides of a pair dial; the node with the lower id first, the other a second later. The newest
handshake wins: it carries the newest state of the peer. A link that fails is dialled again after
0.1 to 3 s.

A handshake is one CBOR `Hello` each way, four bytes of length before it, and nothing else before.

A directory that was copied and started twice would vote twice and acknowledge what only one of the
two has. So each node remembers the newest life of each peer that it was linked with. It refuses an
older one, and another process with the same count of starts (TAKEN); the one that is told so ends.
"""

import logging
from dataclasses import dataclass, field

import trio

from phantomdb.base.errors import IdentityTaken, PhantomError
from phantomdb.base.settings import Limits
from phantomdb.base.world import Address, Stream, World
from phantomdb.core import Node
from phantomdb.wire import messages
from phantomdb.wire.messages import Hello, MalformedMessage, Message, Refusal

logger = logging.getLogger(__name__)

#: How much is read from a peer at once, in bytes.
READ_BYTES = 1 << 20
#: Streams of a pair of nodes.
STREAMS = (0, 1)
_RETRY_FIRST_S = 0.1
_RETRY_MAX_S = 3.0
_HIGHER_DIALS_AFTER_S = 1.0
#: How long the other stream of a link may take to end, in seconds.
_OTHER_STREAM_S = 1.0
#: How long to wait when the core takes no more of a peer's bytes, in seconds.
_FULL_S = 0.005


class LinkRefused(Exception):
    """The peer does not want this link, or is not whom we want."""


async def receive_message(stream: Stream) -> Message | None:
    """Read one message with its length before it; `None` if the peer ends before one.

    Raises `MalformedMessage`.
    """
    head = await _exactly(stream, 4)
    if head is None:
        return None
    length = int.from_bytes(head, "big")
    if not 0 < length <= messages.MESSAGE_BYTES_MAX:
        raise MalformedMessage(f"a message of {length} bytes")
    body = await _exactly(stream, length)
    if body is None:
        return None
    return messages.decode(body)


async def send_message(stream: Stream, message: Message) -> None:
    """Write one message with its length before it."""
    encoded = messages.encode(message)
    await stream.send_all(len(encoded).to_bytes(4, "big") + encoded)


async def _exactly(stream: Stream, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            return None
        data += bytes(more)
    return data


@dataclass(slots=True, eq=False)
class _Link:
    """The streams of one link, as far as they have greeted."""

    peer: int
    incarnation: int
    life: bytes
    name: bytes
    streams: dict[int, Stream] = field(default_factory=dict)
    complete: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    #: Streams on which the peer has said all.
    heard_out: int = 0
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class PeerLinks:
    """All links of a node, whoever dialled them; at most one is up for each peer."""

    def __init__(self, node: Node, world: World, limits: Limits, software: str) -> None:
        self._node = node
        self._world = world
        self._limits = limits
        self._software = software
        self._up: dict[int, _Link] = {}
        self._arriving: dict[bytes, _Link] = {}
        #: Drawn by this process: no other has it, whatever directory it was given.
        self._life = world.random.randbytes(16)
        #: The newest life of each peer that there was a link with: its start's number and name.
        self._lives: dict[int, tuple[int, bytes]] = {}
        self._is_finishing = False

    @property
    def connected(self) -> frozenset[int]:
        """Peers that are linked."""
        return frozenset(self._up)

    async def finish(self) -> None:
        """Send what waits for the peers, say that it is all, and wait until they have hung up.

        Closed at once, a link would be reset, and take the last answers with it.
        """
        self._is_finishing = True
        for link in tuple(self._up.values()):
            for number in link.streams:
                self._node.link_signal(link.peer, number).set()
            await link.ended.wait()

    async def dial(self, peer: int, address: Address) -> None:
        """Keep a link to a peer up until this node finishes.

        Raises `IdentityTaken` if the peer knows another process as this node.
        """
        if peer < self._node.id:
            await trio.sleep(_HIGHER_DIALS_AFTER_S)
        retry_s = _RETRY_FIRST_S
        while not self._is_finishing:
            present = self._up.get(peer)
            if present is not None:
                await present.ended.wait()
                retry_s = _RETRY_FIRST_S
            try:
                await self._dial_once(peer, address)
                retry_s = _RETRY_FIRST_S
            except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                logger.debug("peer %d: %r", peer, error)
            except (LinkRefused, MalformedMessage) as error:
                logger.warning("peer %d: %s", peer, error)
            await trio.sleep(retry_s * (0.5 + self._world.random.random()))
            retry_s = min(retry_s * 2, _RETRY_MAX_S)

    async def _dial_once(self, peer: int, address: Address) -> None:
        name = self._world.random.randbytes(16)
        streams: dict[int, Stream] = {}
        try:
            with trio.fail_after(self._limits.handshake_s):
                for number in STREAMS:
                    stream = streams[number] = await self._world.network.connect(address)
                    await send_message(stream, self._hello(name, number))
                    hello = await self._answer(stream, peer)
            await self._run(_Link(peer, hello.incarnation, hello.life, name, streams))
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                for stream in streams.values():
                    await stream.aclose()

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
        )

    async def _answer(self, stream: Stream, peer: int) -> Hello:
        answer = await receive_message(stream)
        if isinstance(answer, Refusal) and answer.code == "TAKEN":
            raise IdentityTaken(
                f"node {peer} is linked with another process that is this node: {answer.detail}",
                hint="Run one process of a directory; a copy of one is no new node.",
            )
        if isinstance(answer, Refusal):
            raise LinkRefused(f"{answer.code}: {answer.detail}")
        if not isinstance(answer, Hello):
            raise LinkRefused("ended before its handshake")
        refusal = self._refusal(answer)
        if refusal is None and answer.node != peer:
            refusal = Refusal("NOT_MEMBER", f"node {answer.node} answers where {peer} should")
        if refusal is not None:
            raise LinkRefused(f"{refusal.code}: {refusal.detail}")
        return answer

    def _refusal(self, hello: Hello) -> Refusal | None:
        """Why a peer is not wanted, if so."""
        node = self._node
        if hello.cluster != node.cluster.to_bytes(8, "big"):
            return Refusal("WRONG_CLUSTER", f"this is cluster {node.cluster:016x}")
        low = max(hello.protocol_min, messages.PROTOCOL_MIN)
        high = min(hello.protocol_max, messages.PROTOCOL_MAX)
        if low > high:
            spoken = f"{messages.PROTOCOL_MIN} to {messages.PROTOCOL_MAX}"
            return Refusal("WRONG_VERSION", f"this node speaks protocol {spoken}")
        if hello.node not in node.members or hello.node == node.id:
            return Refusal("NOT_MEMBER", f"node {hello.node} is no other member of this cluster")
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

    async def accept(self, stream: Stream, hello: Hello) -> None:
        """Serve a stream that a peer dialled, whose `Hello` has been read, until its link ends."""
        if self._is_finishing:
            return
        refusal = self._refusal(hello)
        if refusal is None and hello.stream not in STREAMS:
            refusal = Refusal("WRONG_VERSION", f"there is no stream {hello.stream}")
        if refusal is not None:
            await send_message(stream, refusal)
            logger.warning("peer %d refused: %s: %s", hello.node, refusal.code, refusal.detail)
            return
        link = self._arriving.get(hello.link)
        if link is None:
            link = _Link(hello.node, hello.incarnation, hello.life, hello.link)
            self._arriving[hello.link] = link
        is_same = (link.peer, link.incarnation) == (hello.node, hello.incarnation)
        if hello.stream in link.streams or not is_same:
            await send_message(stream, Refusal("NOT_MEMBER", "this stream is there already"))
            return
        link.streams[hello.stream] = stream
        is_last = len(link.streams) == len(STREAMS)
        try:
            await send_message(stream, self._hello(hello.link, hello.stream))
            if is_last:
                self._arriving.pop(hello.link, None)
                link.complete.set()
                await self._run(link)
            else:
                with trio.move_on_after(self._limits.handshake_s):
                    await link.complete.wait()
                if link.complete.is_set():
                    await link.ended.wait()
        finally:
            self._arriving.pop(hello.link, None)

    async def _run(self, link: _Link) -> None:
        """Carry bytes both ways until the link fails or a newer one takes its place."""
        try:
            # Each turn looks again: another may have been faster. A process that is not the peer
            # is told so when it dials again.
            while not self._taken(link.peer, link.incarnation, link.life):
                older = self._up.get(link.peer)
                if older is None:
                    await self._carry(link)
                    return
                older.scope.cancel()
                await older.ended.wait()
        finally:
            link.ended.set()

    async def _carry(self, link: _Link) -> None:
        peer = link.peer
        self._up[peer] = link
        self._lives[peer] = (link.incarnation, link.life)
        self._node.connected(peer, link.incarnation)
        logger.info("peer %d is up", peer)
        try:
            with link.scope:
                async with trio.open_nursery() as nursery:
                    for number, stream in link.streams.items():
                        nursery.start_soon(self._write, stream, peer, number)
                        nursery.start_soon(self._read, stream, link, number)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # The peer is gone; whoever dialled dials again.
        finally:
            del self._up[peer]
            self._node.disconnected(peer)
            logger.info("peer %d is down", peer)

    async def _read(self, stream: Stream, link: _Link, number: int) -> None:
        peer = link.peer
        while data := await stream.receive_some(READ_BYTES):
            view = bytes(data)
            while view:
                try:
                    taken = self._node.feed(peer, number, view)
                except PhantomError as error:
                    logger.warning("peer %d stream %d: %s", peer, number, error)
                    link.scope.cancel()
                    return
                view = view[taken:]
                if view:
                    await trio.sleep(_FULL_S)
        # Last words may be on the other stream.
        link.heard_out += 1
        if link.heard_out == len(STREAMS):
            link.scope.cancel()
        else:
            link.scope.deadline = trio.current_time() + _OTHER_STREAM_S

    async def _write(self, stream: Stream, peer: int, number: int) -> None:
        signal = self._node.link(peer, number)
        signal.set()
        while True:
            await signal.wait()
            while (out := self._node.take_out(peer, number)) is not None:
                await stream.send_all(out)
            if self._is_finishing:
                await stream.send_eof()
                return
