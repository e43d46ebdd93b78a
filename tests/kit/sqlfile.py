"""Statements in files, and what two servers say to them.

A file is blocks between blank lines, each one statement (or one text of several); lines that begin
with `#` belong to nobody. `differences.toml` beside the files says where PhantomDB means to answer
otherwise, and how.

Equal means: messages, columns with names, types and modifiers, rows (in order where the statement
has ORDER BY, else as a multiset), command tags, errors and notices field by field but for
PostgreSQL's source lines and for hints, which are ours to give. Where both fail, messages and
columns are not compared: a row that cannot be computed may be met before others are sent, or after.
"""

import math
import struct
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kit.frontend import BINARY, TEXT, Answer, Column, Fields, Frontend

#: Fields of errors that need not be equal: file, line and routine, hints, context.
UNCOMPARED = "FLRHW"
FLOAT8 = 701


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and the line where it begins."""

    line: int
    sql: str


def statements(path: Path) -> Iterator[Statement]:
    """Read a file."""
    block: list[str] = []
    begin = 0
    for number, line in enumerate([*path.read_text().splitlines(), ""], start=1):
        if line.startswith("#"):
            continue
        if line.strip():
            begin = begin if block else number
            block.append(line)
        elif block:
            yield Statement(begin, "\n".join(block))
            block = []


@cache
def differences(path: Path) -> dict[str, dict[str, str]]:
    """Read the differences that are meant, by their statement."""
    entries = tomllib.loads(path.read_text())["difference"]
    found: dict[str, dict[str, str]] = {}
    for entry in entries:
        assert entry.keys() == {"statement", "answer", "reason"}, f"keys of {entry}"
        assert entry["reason"], f"{entry} has a reason"
        assert entry["statement"] not in found, f"{entry['statement']!r} stands there twice"
        found[entry["statement"]] = entry
    return found


def told(fields: Fields) -> Fields:
    """Return what must be equal of an error or notice."""
    return {letter: value for letter, value in fields.items() if letter not in UNCOMPARED}


def shown(answer: Answer, *, ordered: bool) -> dict[str, object]:
    """Return what must be equal of an answer."""
    rows = [tuple(map(_one_nan, row, answer.columns)) for row in answer.rows]
    if not ordered:
        rows.sort(key=repr)
    return {
        "messages": "" if answer.errors else answer.kinds,
        "columns": [(c.name, c.type_oid, c.size, c.typmod, c.format) for c in answer.columns],
        "rows": rows,
        "tags": answer.tags,
        "errors": [told(fields) for fields in answer.errors],
        "notices": [told(fields) for fields in answer.notices],
    }


def _one_nan(value: bytes | None, column: Column) -> bytes | None:
    """Return the one NaN for any: its sign is the processor's choice."""
    if value is None or column.format != BINARY or column.type_oid != FLOAT8:
        return value
    (number,) = struct.unpack("!d", value)
    return b"NaN" if math.isnan(number) else value


def brief(answer: Answer) -> str:
    """Return an answer in the words of `differences.toml`: its error, or its rows."""
    if answer.errors:
        return f"{answer.error['C']} {answer.error['M']}"
    return repr([tuple(v and v.decode(errors="replace") for v in row) for row in answer.rows])


def ask(frontend: Frontend, sql: str, protocol: str) -> Answer:
    """Run a statement by the simple protocol, or by the extended one with text or binary rows."""
    if protocol == "simple":
        return frontend.query(sql)
    return frontend.extended(sql, result=BINARY if protocol == "binary" else TEXT)


def compare(wanted: Answer, found: Answer, sql: str) -> list[str]:
    """Return what differs, a line each."""
    ordered = "order by" in sql.lower()
    ours, theirs = shown(found, ordered=ordered), shown(wanted, ordered=ordered)
    return [
        f"  {what}\n    PostgreSQL {theirs[what]}\n    PhantomDB  {ours[what]}"
        for what in theirs
        if ours[what] != theirs[what] and not (what == "columns" and found.errors and wanted.errors)
    ]
