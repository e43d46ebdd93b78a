"""The peer door: the first message of a connection says what it is for.

Before a node is formed, that is a question of formation; afterwards a stream of a peer link. A node
that was formed in this life answers questions with its formation, so that a late one learns of it;
one that was formed before closes them.
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
