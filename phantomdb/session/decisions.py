"""Answers the events of sessions: what the core cannot decide by itself.

A plan is answered at once. A schema change is a task; it can be withdrawn while nothing of it can
be seen, and is when its session goes; from then on it goes to its end. Its event is answered in any
case. An error of the decision is the answer of the statement.
"""

from collections.abc import Callable

import trio

from phantomdb.base.errors import PhantomError
from phantomdb.catalog.keys import GROUPS
from phantomdb.core import Node
from phantomdb.core.events import SessionGone, SessionWants
from phantomdb.core.session_events import (
    CancelWanted,
    DropWanted,
    PlanWanted,
    Remark,
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
    """A schema change that is carried out for a session."""

    def __init__(self, session: int) -> None:
        self.session = session
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

    def __init__(
        self, node: Node, nursery: trio.Nursery, cancel: Callable[[int, int], None]
    ) -> None:
        """`nursery` has the schema changes; `cancel` ends the statement that a client names."""
        self._node = node
        self._nursery = nursery
        self._schema = SchemaChanges(node)
        self._cancel = cancel
        self._changes: dict[int, _Change] = {}

    def wanted(self, event: SessionWants) -> None:
        """Decide, or begin to; those that end another have no answer."""
        match event.wanted:
            case PlanWanted(number, query):
                self._plan(event.session, number, query)
            case CancelWanted(pid, secret):
                self._cancel(pid, secret)
            case WithdrawalWanted(of):
                if (change := self._changes.get(of)) is not None:
                    change.withdraw()
            case TableWanted() | DropWanted() as wanted:
                change = self._changes[wanted.event] = _Change(event.session)
                self._nursery.start_soon(self._carry_out, change, wanted)

    def gone(self, event: SessionGone) -> None:
        """Give up what nobody waits for any more."""
        for change in self._changes.values():
            if change.session == event.session:
                change.withdraw()

    def _plan(self, session: int, event: int, query: bytes) -> None:
        try:
            plan = route.plan(Query.decode(query), GROUPS)
        except PhantomError as error:
            self._node.fail_session(session, event, error)
        else:
            self._node.plan_session(session, event, plan.encode())

    async def _carry_out(self, change: _Change, wanted: TableWanted | DropWanted) -> None:
        session, event = change.session, wanted.event
        try:
            remarks = await self._change(change, wanted)
        except PhantomError as error:
            self._node.fail_session(session, event, error)
        else:
            self._node.finish_session(session, event, remarks)
        finally:
            del self._changes[event]

    async def _change(self, change: _Change, wanted: TableWanted | DropWanted) -> list[Remark]:
        """Carry a schema change out; raises `Withdrawn` if it was given up in time."""
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
        raise Withdrawn(GIVEN_UP)
