"""A second opinion: the same rows in SQLite, in memory, and a comparison of answers.

SQLite shares no code, no types and no author with the executor it judges. Where its dialect
differs, a question brings a text of its own for it; values are compared by what they mean:

- numbers as numbers: an average is exact here and a double there, so `RELATIVE_ERROR` is allowed;
- times as text in UTC, as the files write them: SQLite has no type for them;
- truth as 1 and 0.

Rows are compared in their order, for every question has a complete one.
"""

import math
import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from phantomdb.demo.flights import DataDamaged, Row, Table

#: Doubles summed up in another order differ by less.
RELATIVE_ERROR = 1e-9
#: Differences that are shown; the first says most.
DIFFERENCES_MAX = 3

#: A value of an answer, as drivers give it.
Value = object


class Oracle:
    """An SQLite database in memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        # PostgreSQL's LIKE tells case apart; SQLite's does so only if told.
        self._db.execute("PRAGMA case_sensitive_like = ON")

    def create(self, table: Table) -> None:
        """Make a table. Columns get the class of values that their type has, numbers from text."""
        columns = [f"{name} {_class(type_)}" for name, type_ in table.columns]
        self._db.execute(f"CREATE TABLE {table.name} ({', '.join(columns)}, {table.key_clause()})")

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows; raises `DataDamaged` for a primary key that comes twice or is missing."""
        marks = ", ".join("?" * len(table.columns))
        self._db.execute("BEGIN")
        try:
            self._db.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)  # noqa: S608
        except sqlite3.IntegrityError as error:
            raise DataDamaged(f"{table.file}: {error}") from error
        self._db.execute("COMMIT")

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        [(count,)] = self._db.execute(table.count())
        return int(count)

    def answer(self, sql: str) -> list[tuple[Value, ...]]:
        """Return a query's rows."""
        return self._db.execute(sql).fetchall()


def differences(
    rows: Sequence[tuple[Value, ...]], expected: Sequence[tuple[Value, ...]]
) -> list[str]:
    """Return in words where two answers differ; nothing if they are the same."""
    found = []
    if len(rows) != len(expected):
        found.append(f"{len(rows)} rows instead of {len(expected)}")
    for at, (row, wanted) in enumerate(zip(rows, expected, strict=False), start=1):
        same = len(row) == len(wanted) and all(map(_equal, row, wanted))
        if not same:
            found.append(f"row {at}: {row} instead of {wanted}")
    return found[:DIFFERENCES_MAX]


def _equal(left: Value, right: Value) -> bool:
    left, right = _plain(left), _plain(right)
    if isinstance(left, float) or isinstance(right, float):
        return (
            isinstance(left, int | float)
            and isinstance(right, int | float)
            and math.isclose(left, right, rel_tol=RELATIVE_ERROR, abs_tol=RELATIVE_ERROR)
        )
    return type(left) is type(right) and left == right


def _plain(value: Value) -> int | float | str | None:
    """Return a value in the class that SQLite would give it."""
    match value:
        case None | float() | str():
            return value
        case bool() | int():
            return int(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case _:
            raise TypeError(f"no question answers with a {type(value).__name__}")


def _class(type_: str) -> str:
    if type_.startswith("int"):
        return "INTEGER"
    return {"numeric": "NUMERIC", "float8": "REAL"}.get(type_, "TEXT")
