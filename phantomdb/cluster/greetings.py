"""The peer door: the first message of a connection says what it is for.

A question of formation is answered in every life of a node: before it is formed with what it is,
afterwards with its formation, so that a member which missed it learns of it. Streams of peer links
are taken once it is formed.
"""

import logging
from collections.abc import Callable

from phantomdb.cluster.links import Links
from phantomdb.core import Reactor
from phantomdb.core.events import FirstHeard
from phantomdb.wire import messages
from phantomdb.wire.messages import Hello, MalformedMessage, Message

logger = logging.getLogger(__name__)

#: Answers a question of formation; raises `MalformedMessage` for anything else.
Answer = Callable[[Message], Message]


class Greetings:
    """Answers connections of other nodes, before and after this one is formed."""

    def __init__(self, reactor: Reactor, answer: Answer) -> None:
        self._reactor = reactor
        self._answer = answer
        self._links: Links | None = None

    def open_links(self, links: Links) -> None:
        """Take peer links from now on."""
        self._links = links

    def heard(self, first: FirstHeard) -> None:
        """Take the first message of a connection."""
        try:
            self._take(first)
        except MalformedMessage as error:
            logger.warning("%s: %s", first.whence, error)
            self._reactor.close(first.connection)

    def _take(self, first: FirstHeard) -> None:
        message = messages.decode(first.message)
        if not isinstance(message, Hello):
            answer = messages.encode(self._answer(message))
            self._reactor.say_last(first.connection, answer)
        elif self._links is None:
            self._reactor.close(first.connection)  # Not formed yet: the peer dials again.
        else:
            self._links.greeted(first.connection, message, first.certified)
