"""Clients that leave in the middle of something: the node serves on, and nothing of theirs stays.

A client that closes with unread input resets its connection, and both of its tasks in the node meet
an error at once.
"""

import socket
import struct
from collections.abc import Iterator

import pytest
from kit.cluster import session, wait_until
from kit.frontend import Frontend, message, query
from kit.gauges import metric

from phantomdb.client.processes import NodeProcess

#: Rows of 1 KiB, joined with each other: far more than sockets hold.
PAIRS = "SELECT a.v, b.v FROM left_behind a, left_behind b"
LEAVINGS = ["closes", "resets", "stops writing", "sends half a message"]


@pytest.fixture
def wide_table(node: NodeProcess) -> Iterator[None]:
    with session(node) as db:
        db.execute("CREATE TABLE left_behind (k int4 PRIMARY KEY, v text)")
        rows = ", ".join(f"({k}, '{'x' * 1_000}')" for k in range(300))
        db.execute(f"INSERT INTO left_behind VALUES {rows}")
        yield
        db.execute("DROP TABLE left_behind")


@pytest.mark.usefixtures("wide_table")
@pytest.mark.parametrize("leaving", LEAVINGS)
def test_a_client_that_leaves_its_result_unread_costs_only_its_session(
    node: NodeProcess, leaving: str
) -> None:
    before = metric(node, "phantomdb_sessions")
    for _ in range(3):
        with Frontend.connect(node.pg.port) as frontend:
            frontend.send(query(PAIRS))
            assert frontend.receive()[0] == "T"
            if leaving == "resets":
                linger = struct.pack("ii", 1, 0)
                frontend.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            elif leaving == "stops writing":
                frontend.socket.shutdown(socket.SHUT_WR)
            elif leaving == "sends half a message":
                frontend.send(message(b"Q", b"SELECT")[:7])
    with session(node) as db:
        assert db.execute("SELECT count(*) FROM left_behind").fetchone() == (300,)
    wait_until(node, "its session is gone", lambda: metric(node, "phantomdb_sessions") <= before)
    wait_until(node, "its query is gone", lambda: metric(node, "phantomdb_requests") == 0)
