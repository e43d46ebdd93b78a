"""Clients in numbers: floods of connections, of cancel requests, of queries that nobody reads."""

import random
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from kit.cluster import session, wait_until
from kit.frontend import SYNC, Frontend, bind, execute, parse, query, serves, startup
from kit.gauges import metric
from kit.steady import LEADER_CHANGED, settled

from phantomdb.client.processes import Cluster

#: The first word of a cancel request.
CANCEL = 80_877_102
#: 10^12 rows: it does not end before it is cancelled, however slow the rest is.
LONG = "SELECT count(*) FROM loaded a, loaded b, loaded c, loaded d, loaded e, loaded f"
#: Sockets of the largest flood, and descriptors beside them.
FLOOD, BESIDE = 1_000, 500


@pytest.fixture
def table(shared_cluster: Cluster) -> str:
    """Make `loaded` with 100 rows, which stays."""
    with session(shared_cluster.nodes[0]) as db:
        rows = ", ".join(f"({k}, '{'x' * 1_000}')" for k in range(100))
        for sql in (
            "CREATE TABLE IF NOT EXISTS loaded (k int4 PRIMARY KEY, v text)",
            "DELETE FROM loaded",
            f"INSERT INTO loaded VALUES {rows} ON CONFLICT DO NOTHING",
        ):
            settled(partial(db.execute, sql))
    return "loaded"


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Let this process have the sockets of a flood: many systems give 1,024 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FLOOD + BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def cancel(port: int, key: bytes) -> None:
    """Ask for a cancellation, and wait until the server has closed: it has been passed on."""
    with socket.create_connection(("127.0.0.1", port), timeout=45) as sock:
        sock.sendall(struct.pack("!ii", 16, CANCEL) + key)
        assert sock.recv(1) == b""


@pytest.mark.usefixtures("descriptors")
def test_a_thousand_connections_at_once_leave_nothing(shared_cluster: Cluster) -> None:
    node = shared_cluster.nodes[0]
    drawn = random.Random(5)
    hello = startup(user="postgres", database="postgres")
    with ExitStack() as stack:
        for _ in range(FLOOD):
            address = ("127.0.0.1", node.pg.port)
            sock = stack.enter_context(socket.create_connection(address, timeout=45))
            sock.sendall(hello[: drawn.choice([0, 4, 20, len(hello)])])
            if drawn.random() < 0.3:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with Frontend.connect(node.pg.port) as db:
        assert db.query("SELECT 1").values() == [("1",)]
        wait_until(node, "all are gone", lambda: metric(node, "phantomdb_sessions") == 1)


@pytest.mark.usefixtures("table")
def test_a_statement_is_cancelled_through_any_node_and_by_its_key_only(
    shared_cluster: Cluster,
) -> None:
    home = shared_cluster.nodes[0]
    with Frontend.connect(home.pg.port) as db, Frontend.connect(home.pg.port) as other:
        pid, secret = struct.unpack("!II", db.key)
        for through in shared_cluster.nodes:
            db.send(query(LONG))
            wrong = [
                struct.pack("!II", pid, secret ^ 1),
                struct.pack("!II", pid ^ 1, secret),
                struct.pack("!II", 9 << 21 | 1, secret),
                struct.pack("!II", 0, 0),
                other.key,
            ]
            for key in wrong:
                cancel(through.pg.port, key)
            assert other.query("SELECT 1").values() == [("1",)]
            wait_until(home, "it runs", lambda: metric(home, "phantomdb_flows") > 0)
            cancel(through.pg.port, db.key)
            assert db.answer().sqlstate == "57014"
            assert db.query("SELECT 1").values() == [("1",)]


def test_a_script_of_thousands_ends_between_two_statements_when_it_is_cancelled(
    shared_cluster: Cluster,
) -> None:
    # Its answer is not read before, and is more than what lies between server and client.
    script = query("SELECT repeat('x', 1000);" * 80_000)
    node = shared_cluster.nodes[0]
    with Frontend.connect(node.pg.port) as db, Frontend.connect(node.pg.port) as beside:
        for each in (db, beside):
            each.send(script)
            assert each.receive()[0] == "T", "its first statement runs"
        # Of a text that nobody has sent before.
        with Frontend.connect(node.pg.port) as other:
            assert other.query("SELECT 7 AS seven_beside_scripts").values() == [("7",)]
        for each in (beside, db):
            cancel(node.pg.port, each.key)
            answer = each.answer()
            assert answer.sqlstate == "57014"
            assert len(answer.tags) < 80_000
            assert each.query("SELECT 1").values() == [("1",)]


@pytest.mark.usefixtures("table")
def test_cancellations_in_every_phase_end_a_statement_or_nothing(shared_cluster: Cluster) -> None:
    """Each answer is whole and its statement's own, whenever a cancellation comes."""
    home, _, away = shared_cluster.nodes
    kinds = [
        (query("SELECT count(*) FROM loaded"), [("100",)]),
        (parse("SELECT k FROM loaded WHERE k = 7") + bind() + execute() + SYNC, [("7",)]),
        (query("UPDATE loaded SET v = 'same' WHERE k = 7"), []),
        (query("SELECT 5"), [("5",)]),
        (query("SELECT nope"), []),
    ]
    with Frontend.connect(home.pg.port) as db, ExitStack() as stack:
        for at in range(300):
            script, rows = kinds[at % len(kinds)]
            sock = stack.enter_context(
                socket.create_connection(("127.0.0.1", (home, away)[at % 2].pg.port), timeout=45)
            )
            request = struct.pack("!ii", 16, CANCEL) + db.key
            if at % 3 == 0:
                sock.sendall(request)
                db.send(script)
            else:
                db.send(script)
                sock.sendall(request)
            answer = db.answer()
            assert answer.sqlstate in {"", "57014", "42703"} | LEADER_CHANGED, answer.errors
            if not answer.errors:
                assert answer.values() == rows
        assert db.query("SELECT 1").sqlstate in ("", "57014")
    wait_until(home, "nothing runs", lambda: metric(home, "phantomdb_flows") == 0)


@pytest.mark.usefixtures("table")
def test_a_client_that_pipelines_and_does_not_read_waits_for_itself(
    shared_cluster: Cluster,
) -> None:
    node = shared_cluster.nodes[1]
    one = parse("SELECT v FROM loaded WHERE k = $1::int4", "s") + SYNC
    part = b"".join(bind([b"%d" % (at % 100)], name="s") + execute() + SYNC for at in range(1_000))
    with Frontend.connect(node.pg.port) as deaf:
        deaf.send(one)
        assert not deaf.answer().errors
        deaf.socket.settimeout(0)
        rest = memoryview(part * 10)
        while rest:
            try:
                rest = rest[deaf.socket.send(rest) :]
            except BlockingIOError:
                if serves(node.pg.port):
                    break
        deaf.socket.settimeout(45)
        sent = len(part) * 10 - len(rest)
        whole = sent // (len(part) // 1_000)
        # What it has sent is answered in order, once it reads.
        for _ in range(min(whole - 10, 2_000)):
            answer = deaf.answer()
            assert len(answer.rows) == 1 or answer.sqlstate in LEADER_CHANGED, answer.errors
    wait_until(node, "nothing runs", lambda: metric(node, "phantomdb_flows") == 0)


@pytest.mark.usefixtures("table")
def test_an_answer_larger_than_any_message_comes_through_every_node(
    shared_cluster: Cluster,
) -> None:
    """80 MB in eight rows: nodes send each other at most 64 MiB at once."""
    sql = "SELECT k, repeat(v, 10000) FROM loaded WHERE k IN (1, 2, 3, 4, 5, 6, 7, 8)"
    for node in shared_cluster.nodes:
        with session(node) as db:
            rows = settled(partial(lambda db: db.execute(sql).fetchall(), db))
            assert sorted((k, len(v)) for k, v in rows) == [(k, 10_000_000) for k in range(1, 9)]
            # Nobody else's statements were lost with a link.
            settled(partial(db.execute, "UPDATE loaded SET v = v WHERE k = 9"))


def test_a_query_read_and_written_byte_by_byte_is_answered(shared_cluster: Cluster) -> None:
    with Frontend.connect(shared_cluster.nodes[2].pg.port) as db:
        for byte in query("SELECT repeat('x', 500)"):
            db.send(bytes([byte]))
        received = b""
        while not received.endswith(b"Z\0\0\0\x05I"):
            received += db.socket.recv(1)
        assert b"x" * 500 in received
