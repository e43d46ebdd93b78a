"""Types that a client declares for its parameters: every number, in Parse, Bind and Execute.

A number of a type that no value has is an error, as PostgreSQL has it, and never the node's end.
"""

import pytest
from kit.frontend import BINARY, SYNC, TEXT, Frontend, bind, describe, execute, parse

from phantomdb.client.processes import NodeProcess

#: PostgreSQL's built-in types and more.
OIDS = range(4001)
#: The types that we have, and those that it leaves open.
OURS = (0, 16, 19, 20, 21, 23, 25, 701, 705, 1043, 1082, 1184, 1700)
ANY = 2276
#: Scripts that are sent before the first answer is read.
AT_ONCE = 100
#: Values that some type takes in either format.
VALUES = (None, b"1", b"ab", b"\0\0\0\1", b"2020-01-01", b"\xff" * 8)


def script(oid: int, value: bytes | None, form: int) -> bytes:
    """Declare a type, and give it one value."""
    steps = (
        parse("SELECT $1 IS NULL", types=(oid,)),
        bind([value], formats=[form]),
        *(describe("P"), execute(), SYNC),
    )
    return b"".join(steps)


def answers(port: int, scripts: list[bytes]) -> list[tuple[str, list[tuple[str | None, ...]]]]:
    """Return code and rows that each script gets."""
    found = []
    with Frontend.connect(port) as db:
        for first in range(0, len(scripts), AT_ONCE):
            some = scripts[first : first + AT_ONCE]
            db.send(*some)
            for _ in some:
                answer = db.answer()
                found.append((answer.sqlstate, answer.values()))
    return found


@pytest.mark.parametrize("form", [TEXT, BINARY])
def test_every_type_number_is_answered(node: NodeProcess, form: int) -> None:
    found = answers(node.pg.port, [script(oid, b"1", form) for oid in OIDS])
    refused = {oid for oid, (code, _) in zip(OIDS, found, strict=True) if code == "0A000"}
    assert refused == set(OIDS) - set(OURS)


def test_a_type_that_is_absent_is_named(node: NodeProcess) -> None:
    with Frontend.connect(node.pg.port) as db:
        for oid, name in [(114, "json"), (1114, "timestamp without time zone"), (2950, "uuid")]:
            db.send(script(oid, b"1", TEXT))
            assert db.answer().error["M"] == f"type {name} is not supported"


@pytest.mark.parametrize("form", [TEXT, BINARY])
def test_declared_types_take_what_postgresql_takes(
    oracle: int, node: NodeProcess, form: int
) -> None:
    scripts = [script(oid, value, form) for oid in OURS for value in VALUES]
    assert answers(node.pg.port, scripts) == answers(oracle, scripts)


def test_no_value_has_type_any(oracle: int, node: NodeProcess) -> None:
    scripts = [script(ANY, b"1", TEXT)]
    theirs, ours = answers(oracle, scripts), answers(node.pg.port, scripts)
    assert ours == theirs == [("0A000", [])]
