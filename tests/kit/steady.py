"""Statements through a cluster whose leader may change at any time, on a starved machine above all.

    settled(lambda: db.execute("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"))

A leader that gets no processor for a second loses its office, and some statements are answered so:
nothing was done, or nobody knows. Where a test does not ask about leaders, it runs again what may
be run twice. Only these answers are met like that; everything else is the test's to judge.
"""

from collections.abc import Callable
from typing import TypeVar

import psycopg
from kit.frontend import Answer

#: No leader, another one, an outcome that a lost one took with it.
LEADER_CHANGED = frozenset({"25006", "40001", "40003", "57P03"})

T = TypeVar("T")


class LeaderChanged(Exception):
    """An answer says so."""


def undisturbed(answer: Answer) -> Answer:
    """Return an answer that no change of leaders had a part in; raises `LeaderChanged`."""
    if answer.sqlstate in LEADER_CHANGED:
        raise LeaderChanged(answer.error["M"])
    return answer


def settled(run: Callable[[], T]) -> T:
    """Run what may be run twice until no answer says that the leader changed meanwhile."""
    while True:
        try:
            return run()
        except LeaderChanged:
            continue
        except psycopg.Error as error:
            if error.sqlstate not in LEADER_CHANGED:
                raise
