"""Answers the events of sessions: what the core cannot decide by itself.

Each event is one small task, ended with its connection. An error of the decision is the answer of
the statement.
"""

from collections.abc import Awaitable, Callable

import cbor2

from phantomdb.base.errors import PhantomError
from phantomdb.catalog.keys import GROUPS
from phantomdb.core import Node
from phantomdb.planning import route
from phantomdb.planning.plan import Query
from phantomdb.session.schema import SchemaChanges, wanted_table


class Decisions:
    """Decides for all sessions of a node."""

    def __init__(self, node: Node, forward_cancel: Callable[[int, int], Awaitable[None]]) -> None:
        self._node = node
        self._schema = SchemaChanges(node)
        self._forward_cancel = forward_cancel

    async def decide(self, session: int, event: int, kind: str, body: bytes) -> None:
        """Answer one event."""
        node = self._node
        try:
            if kind == "plan":
                plan = route.plan(Query.decode(body), GROUPS)
                node.plan_session(session, event, plan.encode())
            elif kind == "create_table":
                *wanted, if_not_exists = cbor2.loads(body)
                remarks = await self._schema.create(
                    wanted_table(*wanted), if_not_exists=if_not_exists
                )
                node.finish_session(session, event, [[code, text, ""] for code, text in remarks])
            elif kind == "drop_table":
                names, if_exists = cbor2.loads(body)
                remarks = await self._schema.drop(
                    [(schema, name) for schema, name in names], if_exists=if_exists
                )
                node.finish_session(session, event, [[code, text, ""] for code, text in remarks])
            else:
                assert kind == "cancel", f"an event of kind {kind}"
                pid, secret = cbor2.loads(body)
                await self._forward_cancel(pid, secret)
        except PhantomError as error:
            node.fail_session(session, event, error)
