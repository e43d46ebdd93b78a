"""Answers the events of sessions: what the core cannot decide by itself.

Each event is one small task, ended with its connection. An error of the decision is the answer of
the statement. A schema change can be withdrawn while nothing of it can be seen; its event is
answered in any case.
"""

from collections.abc import Awaitable, Callable

import cbor2
import trio

from phantomdb.base.errors import PhantomError
from phantomdb.catalog.keys import GROUPS
from phantomdb.core import Node
from phantomdb.planning import route
from phantomdb.planning.plan import Query
from phantomdb.session.schema import Remark, SchemaChanges, wanted_table

GIVEN_UP = "the schema change was given up"


class Withdrawn(PhantomError, sqlstate="57014"):
    """A statement was given up before it had done anything."""


class _Change:
    """A schema change that is carried out."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self._is_committing = False

    def begin_commit(self) -> None:
        """Say that it goes to its end from here on; raises `Withdrawn` if it must not."""
        if self.scope.cancel_called:
            # What it last waited for was there already, so no wait has told it yet.
            raise Withdrawn(GIVEN_UP)
        self._is_committing = True

    def withdraw(self) -> None:
        """Give it up, if it is not too late."""
        if not self._is_committing:
            self.scope.cancel()


class Decisions:
    """Decides for all sessions of a node."""

    def __init__(self, node: Node, forward_cancel: Callable[[int, int], Awaitable[None]]) -> None:
        self._node = node
        self._schema = SchemaChanges(node)
        self._forward_cancel = forward_cancel
        self._changes: dict[int, _Change] = {}

    async def decide(self, session: int, event: int, kind: str, body: bytes) -> None:
        """Answer one event; those that withdraw another have no answer."""
        node = self._node
        try:
            match kind:
                case "plan":
                    plan = route.plan(Query.decode(body), GROUPS)
                    node.plan_session(session, event, plan.encode())
                case "create_table" | "drop_table":
                    remarks = await self._change(event, kind, body)
                    node.finish_session(
                        session, event, [[code, text, ""] for code, text in remarks]
                    )
                case "withdraw":
                    await trio.lowlevel.checkpoint()  # By then its own task has begun.
                    if (change := self._changes.get(cbor2.loads(body))) is not None:
                        change.withdraw()
                case _:
                    assert kind == "cancel", f"an event of kind {kind}"
                    pid, secret = cbor2.loads(body)
                    await self._forward_cancel(pid, secret)
        except PhantomError as error:
            node.fail_session(session, event, error)

    async def _change(self, event: int, kind: str, body: bytes) -> list[Remark]:
        """Carry a schema change out; raises `Withdrawn` if it was given up in time."""
        change = self._changes[event] = _Change()
        try:
            with change.scope:
                if kind == "create_table":
                    *wanted, if_not_exists = cbor2.loads(body)
                    return await self._schema.create(
                        wanted_table(*wanted),
                        if_not_exists=if_not_exists,
                        begin_commit=change.begin_commit,
                    )
                names, if_exists = cbor2.loads(body)
                return await self._schema.drop(
                    [(schema, name) for schema, name in names],
                    if_exists=if_exists,
                    begin_commit=change.begin_commit,
                )
        finally:
            del self._changes[event]
        raise Withdrawn(GIVEN_UP)
