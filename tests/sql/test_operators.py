"""Every operator and cast that PostgreSQL 15 has, over the types that we have.

Where it has an answer, so have we, or we refuse by name (0A000); where it refuses, we refuse with
its code.
"""

from collections.abc import Iterator

import pytest
from kit.frontend import Frontend

from phantomdb.client.processes import NodeProcess

#: Columns without rows: what is looked for is the operator, not its result.
COLUMNS = {
    "b": "bool",
    "i2": "int2",
    "i4": "int4",
    "i8": "int8",
    "f8": "float8",
    "n": "numeric",
    "t": "text",
    "v": "varchar",
    "d": "date",
    "ts": "timestamptz",
}
#: And what has no type of its own, and one of type `name`.
OPERANDS = [*COLUMNS, "NULL", "current_user"]
ABSENT = "0A000"


@pytest.fixture
def both(oracle: int, node: NodeProcess) -> Iterator[tuple[Frontend, Frontend]]:
    """Give a session of PostgreSQL and one of PhantomDB, each with the table."""
    columns = ", ".join(f"{name} {ty}" for name, ty in COLUMNS.items())
    with Frontend.connect(oracle) as wanted, Frontend.connect(node.pg.port) as found:
        for side in (wanted, found):
            assert not side.query(f"CREATE TABLE operands ({columns})").errors
        try:
            yield wanted, found
        finally:
            for side in (wanted, found):
                side.query("DROP TABLE operands")


def differences(both: tuple[Frontend, Frontend], expressions: list[str]) -> list[str]:
    """Return where neither the answers nor the codes agree."""
    wrong = []
    for expression in expressions:
        theirs, ours = (side.query(f"SELECT {expression} FROM operands") for side in both)
        codes = [side.error["C"] if side.errors else "" for side in (theirs, ours)]
        if codes[0] != codes[1] and codes != ["", ABSENT]:
            wrong.append(f"{expression}: {codes}")
        elif not ours.errors and ours.columns[0].type_oid != theirs.columns[0].type_oid:
            wrong.append(f"{expression}: of type {ours.columns[0].type_oid}")
    return wrong


def names(side: Frontend, query: str) -> list[str]:
    return [row[0].decode() for row in side.query(query).rows if row[0] is not None]


def test_each_operator_is_had_or_refused_as_postgresql_does(
    both: tuple[Frontend, Frontend],
) -> None:
    operators = names(both[0], "SELECT DISTINCT oprname FROM pg_operator ORDER BY 1")
    assert len(operators) > 70
    for operator in [*operators, "@#@"]:
        prefix = [f"{operator} {right}" for right in OPERANDS]
        infix = [f"{left} {operator} {right}" for left in OPERANDS for right in OPERANDS]
        assert not differences(both, prefix + infix)


def test_each_cast_is_had_or_refused_as_postgresql_does(both: tuple[Frontend, Frontend]) -> None:
    # What is asked for by `pg_type` is had, absent by its name, or no cast there either.
    types = names(
        both[0],
        "SELECT format_type(oid, NULL) FROM pg_type"
        " WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' ORDER BY 1",
    )
    casts = [f"{operand}::{ty}" for ty in types for operand in COLUMNS]
    answers = {cast: both[1].query(f"SELECT {cast} FROM operands") for cast in casts}
    absent = [cast for cast, answer in answers.items() if answer.errors]
    absent = [cast for cast in absent if answers[cast].error["C"] == ABSENT]
    for cast in absent:
        assert answers[cast].error["M"].startswith("type "), answers[cast].error
    assert not differences(both, [cast for cast in casts if cast not in absent])
