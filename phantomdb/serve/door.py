"""The peer door: the first message of a connection says what it is for.

A question of formation is answered in every life of a node: before it is formed with what it is,
afterwards with its formation, so that a member which missed it learns of it. Streams of peer links
are taken once it is formed.
"""

import logging
from collections.abc import Awaitable, Callable

import trio

from phantomdb.base.world import Address, Stream
from phantomdb.serve.peer import PeerLinks, receive_message, send_message
from phantomdb.wire.messages import Hello, MalformedMessage, Message

logger = logging.getLogger(__name__)

#: Answers a question of formation; raises `MalformedMessage` for anything else.
Answer = Callable[[Message], Message]


class PeerDoor:
    """Serves connections of other nodes, before and after this one is formed."""

    def __init__(self, answer: Answer, *, handshake_s: float) -> None:
        self._answer = answer
        self._handshake_s = handshake_s
        self._links: PeerLinks | None = None

    def open_links(self, links: PeerLinks) -> None:
        """Take peer links from now on."""
        self._links = links

    def sessions(self) -> Callable[[Stream, Address], Awaitable[None]]:
        """Return what serves one connection."""

        async def serve_one(stream: Stream, address: Address) -> None:
            try:
                with trio.fail_after(self._handshake_s):
                    first = await receive_message(stream)
                    if first is None:
                        return
                    if not isinstance(first, Hello):
                        await send_message(stream, self._answer(first))
                        return
            except trio.TooSlowError:
                logger.info("%s said nothing for %g s", address, self._handshake_s)
                return
            except MalformedMessage as error:
                logger.warning("%s: %s", address, error)
                return
            if self._links is None:
                return  # Not formed yet: the peer dials again.
            await self._links.accept(stream, first)

        return serve_one
