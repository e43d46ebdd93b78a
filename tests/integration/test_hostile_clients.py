"""Clients that leave, stall, flood or lie: the right answer or a clear error; the node serves on.

What a client may do by the rules of TCP and of the protocol, and few do: it resets, closes one
half, reads a byte at a time or not at all. Where PostgreSQL 15 has an answer, it is the same.
"""

import socket
import struct
from collections.abc import Iterator
from functools import partial

import pytest
from kit.cluster import wait_until
from kit.frontend import (
    SYNC,
    Answer,
    Frontend,
    Row,
    bind,
    close,
    describe,
    execute,
    parse,
    query,
    serves,
    table_in,
)
from kit.gauges import metric
from kit.steady import settled, undisturbed

from phantomdb.base.world import Address
from phantomdb.client.processes import Cluster, NodeProcess


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN, as the kernel does for a program that crashed unread."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# Connections that end before, or without, a word.


@pytest.mark.parametrize("door", ["pg", "peer", "admin"])
def test_connections_reset_in_the_backlog_are_passed_over(node: NodeProcess, door: str) -> None:
    address: Address = getattr(node, door)
    node.pause()
    try:
        # The kernel takes them; the node will accept what is no longer connected.
        for _ in range(20):
            reset(socket.create_connection((address.host, address.port), timeout=10))
    finally:
        node.resume()
    socket.create_connection((address.host, address.port), timeout=10).close()
    assert serves(node.pg.port)


# Clients that close their half, and are answered.


@pytest.fixture
def ports(oracle: int, node: NodeProcess) -> Iterator[tuple[int, int]]:
    """Give the doors of PostgreSQL and of ours, with a table of 200 rows, `hostile`, in each."""
    rows = ", ".join(f"({k}, '{'x' * 1_000}')" for k in range(200))
    both = (oracle, node.pg.port)
    with table_in(both, "hostile", rows):
        yield both


#: What is sent before the half is closed. Some take a while: the end comes before their answers.
BEFORE_THE_END: dict[str, list[bytes]] = {
    "a long query": [query("SELECT count(*) FROM hostile a, hostile b, hostile c")],
    "a wide result": [query("SELECT a.v FROM hostile a, hostile b")],
    "a pipeline": [query(f"SELECT count(*) + {at} FROM hostile a, hostile b") for at in range(20)],
    "an error": [query("SELECT nope FROM hostile"), query("SELECT 2")],
    "a write": [query("UPDATE hostile SET v = 'written' WHERE k < 10")],
    "a write in the extended protocol": [
        parse("DELETE FROM hostile WHERE k = $1::int"),
        bind([b"150"]),
        execute(),
        SYNC,
    ],
    "and half a message": [query("SELECT 1"), query("SELECT 2")[:-3]],
    "nothing": [],
}


@pytest.mark.parametrize("name", BEFORE_THE_END)
def test_a_client_that_sends_no_more_is_answered(ports: tuple[int, int], name: str) -> None:
    def run(port: int) -> tuple[Answer, list[tuple[str | None, ...]]]:
        with Frontend.connect(port) as db:
            db.send(*BEFORE_THE_END[name])
            db.socket.shutdown(socket.SHUT_WR)
            answer = db.rest()
        with Frontend.connect(port) as db:
            after = db.query("SELECT count(*), sum(k), sum(length(v)) FROM hostile").values()
        return answer, after

    (theirs, left_there), (ours, left_here) = run(ports[0]), run(ports[1])
    assert ours.kinds == theirs.kinds
    assert sorted(ours.rows) == sorted(theirs.rows)
    assert [e["C"] for e in ours.errors] == [e["C"] for e in theirs.errors]
    assert left_here == left_there


def test_a_write_without_its_sync_is_not_done_when_the_client_ends(ports: tuple[int, int]) -> None:
    for port in ports:
        with Frontend.connect(port) as db:
            db.send(parse("DELETE FROM hostile"), bind(), execute())
            db.socket.shutdown(socket.SHUT_WR)
            db.rest()
        with Frontend.connect(port) as db:
            assert db.query("SELECT count(*) FROM hostile").values() == [("200",)]


# Portals and statements that were left, or changed under their users.


def test_a_portal_that_is_left_holds_nothing(node: NodeProcess, ports: tuple[int, int]) -> None:
    """A suspended portal's query goes with it, however the portal goes."""
    wide = parse("SELECT a.v, b.v FROM hostile a, hostile b")
    scripts = {
        "replaced": [wide, bind(), execute("", 3), bind(), execute("", 3), SYNC],
        "left for a query": [wide, bind(), execute("", 3), query("SELECT 1")],
        "closed": [wide, bind(), execute("", 3), close("P"), bind(), execute("", 3), SYNC],
        "left by an error": [wide, bind(), execute("", 3), parse("SELECT nope"), SYNC],
        "left at Sync": [wide, bind(portal="p"), execute("p", 3), SYNC],
    }
    for name, script in scripts.items():
        told = []
        for port in ports:
            with Frontend.connect(port) as db:
                db.send(*script)
                answer = db.answer()
                told.append((answer.kinds, len(answer.rows), answer.tags, answer.sqlstate))
                assert db.query("SELECT 1").values() == [("1",)]
        assert told[0] == told[1], name
        wait_until(node, f"{name}: it ended", lambda: metric(node, "phantomdb_flows") == 0)
        wait_until(node, f"{name}: at its leader", lambda: metric(node, "phantomdb_requests") == 0)


#: A statement, a table that it was prepared for, and the one that is there when it is executed.
CHANGED: dict[str, tuple[str, str, str]] = {
    "the same": ("SELECT * FROM changing", "a int PRIMARY KEY, b int", "a int PRIMARY KEY, b int"),
    "another type": (
        "SELECT * FROM changing",
        "a int PRIMARY KEY, b int",
        "a int PRIMARY KEY, b text",
    ),
    "names exchanged": (
        "SELECT * FROM changing",
        "a int PRIMARY KEY, b int",
        "b int PRIMARY KEY, a int",
    ),
    "a column more": (
        "SELECT * FROM changing",
        "a int PRIMARY KEY, b int",
        "a int PRIMARY KEY, b int, c int",
    ),
    "another length": (
        "SELECT b FROM changing",
        "a int PRIMARY KEY, b varchar(3)",
        "a int PRIMARY KEY, b varchar(5)",
    ),
    "order of columns, named": (
        "SELECT a, b FROM changing",
        "a int PRIMARY KEY, b int",
        "b int PRIMARY KEY, a int",
    ),
    "by key": (
        "SELECT b, a FROM changing WHERE a = 1",
        "a int PRIMARY KEY, b int",
        "b int, a int PRIMARY KEY",
    ),
    "a column gone": (
        "SELECT a, b FROM changing",
        "a int PRIMARY KEY, b int",
        "a int PRIMARY KEY, c int",
    ),
    "a write": (
        "DELETE FROM changing WHERE b = 2 RETURNING *",
        "a int PRIMARY KEY, b int",
        "a int PRIMARY KEY, b int8",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_prepared_statement_answers_for_the_table_that_is_there(
    oracle: int, shared_cluster: Cluster, name: str
) -> None:
    sql, before, after = CHANGED[name]
    ours = [node.pg.port for node in shared_cluster.nodes]

    def run(user: int, changer: int) -> tuple[list[Row], str, str]:
        with Frontend.connect(user) as db, Frontend.connect(changer) as ddl:
            make(ddl, before)
            db.send(parse(sql, "s"), describe("S", "s"), bind(name="s"), execute(), SYNC)
            assert not undisturbed(db.answer()).errors
            make(ddl, after)
            db.send(bind(name="s"), execute(), SYNC)
            answer = undisturbed(db.answer())
            message = answer.errors[0]["M"] if answer.errors else ""
            undisturbed(ddl.query("DROP TABLE changing"))
            return answer.rows, answer.sqlstate, message

    def make(ddl: Frontend, columns: str) -> None:
        for statement in (
            "DROP TABLE IF EXISTS changing",
            f"CREATE TABLE changing ({columns})",
            "INSERT INTO changing VALUES (1, '2')",
        ):
            assert not undisturbed(ddl.query(statement)).errors

    expected = run(oracle, oracle)
    for user in ours[:2]:
        assert settled(partial(run, user, ours[2])) == expected
