"""Statements through a cluster whose leader may change at any time, on a starved machine above all.

    settled(lambda: db.execute("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"))

A leader that gets no processor for a second loses its office, and some statements are answered so:
nothing was done, or nobody knows. Where a test does not ask about leaders, it runs again what may
be run twice. Only these answers are met like that; everything else is the test's to judge.

A statement whose schema changed under it is 40001 too. No leader is the reason, and nobody should
see it: it is not run again. Nor is anything for ever, for what fails each time has another cause.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from kit.frontend import Answer

#: No leader, another one, an outcome that a lost one took with it.
LEADER_CHANGED = frozenset({"25006", "40001", "40003", "57P03"})
#: What a statement is told whose tables are not those that it was bound to.
SCHEMA_CHANGED = "the schema changed"
#: How long leaders may change, in seconds.
SETTLED_S = 60.0

T = TypeVar("T")


class LeaderChanged(Exception):
    """An answer says so."""


def undisturbed(answer: Answer) -> Answer:
    """Return an answer that no change of leaders had a part in; raises `LeaderChanged`."""
    message = answer.error["M"] if answer.errors else ""
    if _leader_changed(answer.sqlstate, message):
        raise LeaderChanged(message)
    return answer


def settled(run: Callable[[], T]) -> T:
    """Run what may be run twice until no answer says that the leader changed meanwhile.

    After `SETTLED_S` the last such answer is raised.
    """
    end = time.monotonic() + SETTLED_S
    while True:
        try:
            return run()
        except LeaderChanged:
            if time.monotonic() > end:
                raise
        except psycopg.Error as error:
            message = error.diag.message_primary or ""
            if not _leader_changed(error.sqlstate, message) or time.monotonic() > end:
                raise


def _leader_changed(sqlstate: str | None, message: str) -> bool:
    return sqlstate in LEADER_CHANGED and not message.startswith(SCHEMA_CHANGED)
