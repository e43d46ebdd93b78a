"""How a node comes to its cluster: it is the directory's own, or it is formed now.

1. A directory that was formed in an earlier life says all, and is opened.
2. Another one gets a name, and forms a cluster with the nodes of the `--join` list, or alone.
3. What it accepts is durable in the directory before anybody hears of it. Then that is opened.

Others may ask at any time how far this node is; it answers in every life.
"""

import logging
from collections.abc import Callable

from phantomdb.base.errors import NotFormed
from phantomdb.base.settings import NodeSettings
from phantomdb.base.world import Random
from phantomdb.cluster.formation import (
    Ask,
    Formation,
    Self,
    answer_as_member,
    check_list,
    cluster_of,
)
from phantomdb.core import Node, claim
from phantomdb.wire import messages
from phantomdb.wire.messages import Form, MalformedMessage, Message

logger = logging.getLogger(__name__)


class Joining:
    """Brings one node to its cluster."""

    def __init__(
        self,
        settings: NodeSettings,
        random: Random,
        open_core: Callable[[], Node],
        ask: Ask,
    ) -> None:
        """`open_core` opens the directory; raises `NotFormed` while it belongs to no cluster."""
        self._settings = settings
        self._random = random
        self._open_core = open_core
        self._ask = ask
        self._formation: Formation | None = None
        #: The message that founded the cluster, once the directory is open.
        self._charter = b""

    @property
    def missing(self) -> dict[str, str]:
        """Addresses that keep the cluster from being formed, and why."""
        return self._formation.missing if self._formation else {}

    async def join(self, own: Self) -> Node:
        """Return the node's core, open; `own` has no uuid yet."""
        try:
            node = self._open_core()
        except NotFormed:
            await self._form(own)
            node = self._open_core()
        self._charter = node.charter
        return node

    def answer(self, message: Message) -> Message:
        """Answer a question of formation; raises `MalformedMessage` for what is none."""
        if self._formation is not None:
            return self._formation.answer(message)
        # Formed in an earlier life, or not known yet: then the other asks again.
        form = messages.decode(self._charter) if self._charter else None
        if not isinstance(form, Form):
            raise MalformedMessage(f"{type(message).__name__} before this node is open")
        return answer_as_member(form, message)

    async def _form(self, own: Self) -> None:
        directory = self._settings.directory
        uuid = claim(directory, self._random.randbytes(16))
        own = Self(uuid, own.name, own.peer, own.pg, own.admin)
        members = check_list(self._settings.join or (own.peer,), own.peer)

        def accept(form: Form) -> None:
            number = next(m.node for m in form.listed() if m.uuid == uuid)
            listed = [(m.node, m.name, m.peer) for m in form.listed()]
            charter = messages.encode(form)
            Node.form(directory, cluster_of(form), number, listed, charter=charter)
            logger.info("formed cluster %016x as node %d", cluster_of(form), number)

        self._formation = Formation(own, members, self._random, accept, self._ask)
        await self._formation.run()
