"""Answers the events of sessions: what the core cannot decide by itself.

Each event is one small task, ended with its connection. An error of the decision is the answer of
the statement. A schema change can be withdrawn while nothing of it can be seen; its event is
answered in any case.
"""

from collections.abc import Callable

import trio

from phantomdb.base.errors import PhantomError
from phantomdb.catalog.keys import GROUPS
from phantomdb.core import Node
from phantomdb.core.session_events import (
    CancelWanted,
    DropWanted,
    PlanWanted,
    Remark,
    SessionEvent,
    TableWanted,
    WithdrawalWanted,
)
from phantomdb.planning import route
from phantomdb.planning.plan import Query
from phantomdb.session.schema import SchemaChanges, wanted_table

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

    def __init__(self, node: Node, cancel: Callable[[int, int], None]) -> None:
        self._node = node
        self._schema = SchemaChanges(node)
        self._cancel = cancel
        self._changes: dict[int, _Change] = {}

    async def decide(self, session: int, event: SessionEvent) -> None:
        """Answer one event; those that end another have no answer."""
        match event:
            case CancelWanted(pid, secret):
                self._cancel(pid, secret)
            case WithdrawalWanted(of):
                await trio.lowlevel.checkpoint()  # By then its own task has begun.
                if (change := self._changes.get(of)) is not None:
                    change.withdraw()
            case _:
                try:
                    await self._answer(session, event)
                except PhantomError as error:
                    self._node.fail_session(session, event.event, error)

    async def _answer(self, session: int, event: PlanWanted | TableWanted | DropWanted) -> None:
        if isinstance(event, PlanWanted):
            plan = route.plan(Query.decode(event.query), GROUPS)
            self._node.plan_session(session, event.event, plan.encode())
        else:
            self._node.finish_session(session, event.event, await self._change(event))

    async def _change(self, wanted: TableWanted | DropWanted) -> list[Remark]:
        """Carry a schema change out; raises `Withdrawn` if it was given up in time."""
        change = self._changes[wanted.event] = _Change()
        try:
            with change.scope:
                if isinstance(wanted, TableWanted):
                    return await self._schema.create(
                        wanted_table(wanted),
                        if_not_exists=wanted.if_not_exists,
                        begin_commit=change.begin_commit,
                    )
                return await self._schema.drop(
                    wanted.tables, if_exists=wanted.if_exists, begin_commit=change.begin_commit
                )
        finally:
            del self._changes[wanted.event]
        raise Withdrawn(GIVEN_UP)
