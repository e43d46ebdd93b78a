"""Messages that are whole and wrong, too large, in odd orders, or too late: answered as PostgreSQL.

Only what leaves in doubt where the next message begins ends a session; all else is an error, and
the next statement is answered.
"""

import struct
from collections.abc import Iterator

import pytest
from kit.frontend import (
    FLUSH,
    SYNC,
    Frontend,
    bind,
    close,
    describe,
    execute,
    message,
    parse,
    query,
    table_in,
)

from phantomdb.client.processes import NodeProcess


@pytest.fixture
def ports(oracle: int, node: NodeProcess) -> Iterator[tuple[int, int]]:
    """Give the doors of PostgreSQL and of ours, with a table of 50 rows, `messages`, in each."""
    rows = ", ".join(f"({k}, 'x')" for k in range(50))
    both = (oracle, node.pg.port)
    with table_in(both, "messages", rows):
        yield both


Told = tuple[str, list[tuple[str, str]], int]


def told(port: int, script: list[bytes], *, answers: int) -> list[Told]:
    """Return what a server says to a script, and to a query after it: kinds, errors, rows."""
    with Frontend.connect(port) as db:
        db.send(*script, query("SELECT count(*) FROM messages"))
        found = [db.answer() for _ in range(answers + 1)]
    return [
        (answer.kinds, [(e["S"], e["C"]) for e in answer.errors], len(answer.rows))
        for answer in found
    ]


ROWS = parse("SELECT k FROM messages ORDER BY k")
#: Scripts of which each gets one ReadyForQuery.
WRONG: dict[str, list[bytes]] = {
    "a query that is no UTF-8": [message(b"Q", b"SELECT '\xc3\x28'\0")],
    "a query with a byte behind its end": [message(b"Q", b"SELECT 1\0more\0")],
    "a query without an end": [message(b"Q", b"SELECT 1")],
    "a statement's name that is no UTF-8": [message(b"P", b"\xff\0SELECT 1\0\0\0"), SYNC],
    "a statement that is no UTF-8": [message(b"P", b"\0SELECT '\xff'\0\0\0"), SYNC],
    "fewer parameter types than told": [message(b"P", b"\0SELECT 1\0\x7f\xff"), SYNC],
    "an empty Bind": [message(b"B"), bind(), execute(), SYNC],
    "a value longer than its message": [
        parse("SELECT $1::int"),
        message(b"B", b"\0\0\0\0\0\x01\0\0\0\x64ab\0\0"),
        SYNC,
    ],
    "a format that there is not": [parse("SELECT $1::int"), bind([b"1"], formats=[7]), SYNC],
    "Describe of neither": [message(b"D", b"X\0"), SYNC],
    "Close of neither": [message(b"C", b"X\0"), SYNC],
    "Execute without a limit": [message(b"E", b"\0"), SYNC],
    "Sync with a body": [message(b"S", b"more")],
    "a Sync with a body behind an error": [parse("SELECT nope"), message(b"S", b"more")],
    "wrong behind an error": [parse("SELECT nope"), message(b"B"), message(b"D", b"X\0"), SYNC],
}
ODD: dict[str, list[bytes]] = {
    "Flush and Close of nothing": [FLUSH, FLUSH, close("P"), describe("P"), SYNC],
    "Bind without Parse": [bind(), execute(), SYNC],
    "rows left open, described, their statement closed": [
        *(ROWS, bind(), execute("", 2), describe("P"), execute("", 2), close("S")),
        *(execute("", 1), SYNC),
    ],
    "types declared for an empty statement": [
        *(parse("", types=(23, 25)), describe("S"), bind([b"1", b"x"]), execute(), SYNC),
    ],
    "types declared for a command": [
        *(parse("SHOW work_mem", types=(23,)), describe("S"), bind([b"1"]), execute(), SYNC),
    ],
    "a type left open in a command": [parse("SHOW work_mem", types=(0,)), SYNC],
    "a limit below zero": [ROWS, bind(), execute("", -1), SYNC],
    "a statement closed behind its portal": [
        *(parse("SELECT k FROM messages", "s"), bind(name="s", portal="p"), execute("p", 1)),
        *(close("S", "s"), execute("p", 1), SYNC),
    ],
    "the unnamed statement kept beside a named one": [
        *(parse("SELECT 1", "s"), parse("SELECT 2"), close("S", "s"), bind(), execute(), SYNC),
    ],
    "Describe before and after rows": [
        *(ROWS, describe("S"), bind(), describe("P"), execute("", 1), describe("S"), SYNC),
    ],
}


@pytest.mark.parametrize("name", [*WRONG, *ODD])
def test_what_is_wrong_or_odd_is_answered_as_by_postgresql(
    ports: tuple[int, int], name: str
) -> None:
    script = (WRONG | ODD)[name]
    theirs, ours = (told(port, script, answers=1) for port in ports)
    assert ours == theirs


def test_a_function_called_by_its_number_is_refused(ports: tuple[int, int]) -> None:
    call = message(b"F", struct.pack("!IhhH", 1598, 0, 0, 0))
    refused, answered = told(ports[1], [call], answers=1)
    assert refused == ("EZ", [("ERROR", "0A000")], 0)
    assert answered[2] == 1


def test_a_write_is_not_done_with_a_wrong_message_behind_it(ports: tuple[int, int]) -> None:
    script = [parse("DELETE FROM messages"), bind(), execute(), message(b"B"), SYNC]
    for port in ports:
        told(port, script, answers=1)
        with Frontend.connect(port) as db:
            assert db.query("SELECT count(*) FROM messages").values() == [("50",)]


def test_large_values_and_texts_are_taken(ports: tuple[int, int]) -> None:
    size = 50 << 20
    for port in ports:
        with Frontend.connect(port) as db:
            answer = db.extended("SELECT length($1::text)", [b"x" * size], result=0)
            assert answer.values() == [(str(size),)]
            assert db.query(f"SELECT 1 -- {'x' * size}").values() == [("1",)]


def test_a_client_hears_why_its_message_is_too_large(node: NodeProcess) -> None:
    with Frontend.connect(node.pg.port) as db:
        # All of it is sent before anything is read: closing must not take the answer away.
        db.send(parse("SELECT length($1::text)"), bind([b"x" * (100 << 20)]), execute(), SYNC)
        error = db.rest().error
        assert (error["S"], error["C"]) == ("FATAL", "54000")


def test_a_short_timeout_ends_a_statement_and_nothing_else(ports: tuple[int, int]) -> None:
    """Whatever ends or does not, the session goes on and no timer is left for the next."""
    kinds = [
        "SELECT count(*) FROM messages a, messages b, messages c, messages d",
        "INSERT INTO messages VALUES (1000, 'y')",
        "UPDATE messages SET v = v || 'z' WHERE k < 25",
        "DELETE FROM messages WHERE k = 1000",
        "CREATE TABLE timed (k int PRIMARY KEY)",
        "DROP TABLE timed",
        "SHOW statement_timeout",
        "SELECT 1",
        "nonsense",
    ]
    with Frontend.connect(ports[1]) as db:
        for _ in range(5):
            for sql in kinds:
                db.query("SET statement_timeout = 1")
                db.send(query(sql), parse(sql), bind(), execute(), SYNC)
                for answer in (db.answer(), db.answer()):
                    expected = {"", "57014", "42601", "23505", "42P07", "42P01", "40003"}
                    assert answer.sqlstate in expected, answer.errors
                while db.query("SET statement_timeout = 0").errors:
                    pass  # It is under the timeout itself.
                assert db.query("SELECT count(*) FROM messages a, messages b").sqlstate == ""
        assert db.query("SELECT count(*) FROM messages WHERE k < 50").values() == [("50",)]
        db.query("DROP TABLE IF EXISTS timed")
