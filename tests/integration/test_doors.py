"""The three doors: how sessions begin, and what comes that no client, peer or browser sends.

Each connection is refused, answered or ended by itself, and the node serves on.
"""

import random
import socket
import struct
from contextlib import suppress

import pytest
from kit.frontend import (
    SYNC,
    TERMINATE,
    Frontend,
    bind,
    describe,
    execute,
    message,
    parse,
    query,
    serves,
    startup,
)

from phantomdb.base.world import Address
from phantomdb.client.processes import NodeProcess

#: An encryption request: SSL and GSSAPI.
SSL, GSS = struct.pack("!ii", 8, 80_877_103), struct.pack("!ii", 8, 80_877_104)
#: How long a door may take to answer or to close, in seconds.
ANSWER_S = 45


# Beginnings of sessions.


@pytest.mark.parametrize("request_", [SSL, GSS])
def test_encryption_is_refused_and_the_session_goes_on(node: NodeProcess, request_: bytes) -> None:
    with Frontend.open(node.pg.port) as frontend:
        frontend.send(request_)
        assert frontend.receive_byte() == b"N"
        frontend.send(startup(user="postgres", database="postgres"))
        assert frontend.answer().kinds == "RKZ"


def test_both_encryptions_may_be_asked_for(node: NodeProcess) -> None:
    with Frontend.open(node.pg.port) as frontend:
        for request in (GSS, SSL):
            frontend.send(request)
            assert frontend.receive_byte() == b"N"
        frontend.send(startup(user="postgres", database="postgres"))
        assert frontend.answer().kinds == "RKZ"


def test_bytes_behind_an_encryption_request_end_the_session(node: NodeProcess) -> None:
    with Frontend.open(node.pg.port) as frontend:
        frontend.send(SSL + startup(user="postgres", database="postgres"))
        assert frontend.rest().error["C"] == "08P01"


@pytest.mark.parametrize(
    ("parameters", "sqlstate"),
    [
        ({"database": "postgres"}, "28000"),
        ({"user": "postgres", "database": "absent"}, "3D000"),
        ({"user": "postgres", "database": "postgres", "nonsense": "1"}, "42704"),
        ({"user": "postgres", "database": "postgres", "statement_timeout": "x"}, "22023"),
        ({"user": "postgres", "database": "postgres", "options": "-c nonsense=1"}, "42704"),
    ],
)
def test_a_beginning_that_cannot_be_is_fatal(
    oracle: int, node: NodeProcess, parameters: dict[str, str], sqlstate: str
) -> None:
    for port in (oracle, node.pg.port):
        with Frontend.open(port) as frontend:
            frontend.send(startup(**parameters))
            error = frontend.rest().error
            assert (error["S"], error["C"]) == ("FATAL", sqlstate)


def test_settings_of_the_beginning_are_in_effect(node: NodeProcess) -> None:
    given = {"TimeZone": "Europe/Berlin", "options": "-c statement_timeout=5s --work-mem=8MB"}
    with Frontend.connect(node.pg.port, **given) as frontend:
        assert frontend.greeting.parameters["TimeZone"] == "Europe/Berlin"
        assert frontend.query("SHOW statement_timeout").values() == [("5s",)]
        assert frontend.query("SHOW work_mem").values() == [("8MB",)]
        frontend.query("SET statement_timeout = 1")
        frontend.query("RESET statement_timeout")
        assert frontend.query("SHOW statement_timeout").values() == [("5s",)]


def test_a_newer_protocol_is_negotiated_down(node: NodeProcess) -> None:
    with Frontend.open(node.pg.port) as frontend:
        given = {"user": "postgres", "database": "postgres", "_pq_.nonsense": "1"}
        frontend.send(startup(version=(3 << 16) + 2, **given))
        assert frontend.answer().kinds == "vRKZ"
        assert frontend.query("SELECT 1").tags == ["SELECT 1"]


@pytest.mark.parametrize("version", [2 << 16, 4 << 16, 0, 1234 << 16])
def test_another_protocol_is_refused(node: NodeProcess, version: int) -> None:
    with Frontend.open(node.pg.port) as frontend:
        frontend.send(startup(version=version, user="postgres"))
        assert frontend.rest().error["S"] == "FATAL"
    assert serves(node.pg.port)


# Garbage at the three doors.

_HELLO = startup(user="postgres", database="postgres")
GARBAGE = [
    b"",
    b"\0",
    b"\0" * 8,
    b"\xff" * 64,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 508,
    b"\x7f\xff\xff\xff" + b"a" * 100,
    b"\x80\0\0\0",
    b"\0\0\0\x04",
    b"\0\0\0\x05\x00",
    b"\0\0\0\x10" + b"\xff" * 12,
    b"\0\0\x27\x11" + b"\0\x03\0\0" + b"a" * 10_000,
    _HELLO[:-1],
    _HELLO[:5],
]
#: What follows a good beginning.
LATER = [
    b"\0\0\0\0\0",
    b"Q\0\0\0\x03",
    b"Q\0\0\0\0",
    b"Q\xff\xff\xff\xff",
    b"Q\x7f\xff\xff\xff",
    b"Q\0\0\0\x05x",
    b"z\0\0\0\x04",
    message(b"Q", b"SELECT 1"),
    message(b"Q", b"\xff\xfe\0"),
    message(b"Q", b"SELECT 1\0more\0"),
    message(b"P", b"\0"),
    message(b"P", b"\0SELECT 1\0\x7f\xff"),
    message(b"P", b"\0SELECT 1\0\xff\xff"),
    message(b"B", b""),
    message(b"B", b"\0\0\0\0\xff\xff\0\0"),
    message(b"B", b"\0\0\0\0\0\x01\0\0\0\x05ab\0\0"),
    message(b"D", b"X\0"),
    message(b"D", b""),
    message(b"E", b"\0"),
    message(b"E", b"\0\0\0"),
    message(b"C", b"S"),
    message(b"S", b"more"),
    message(b"p", b"password\0"),
    message(b"d", b"data"),
    message(b"F", b"\0" * 12),
]


@pytest.mark.parametrize("door", ["pg", "peer", "admin"])
def test_garbage_at_a_door_ends_its_connection_only(node: NodeProcess, door: str) -> None:
    address: Address = getattr(node, door)
    drawn = random.Random(door)
    parts = [*GARBAGE, *(drawn.randbytes(drawn.randrange(1, 3_000)) for _ in range(50))]
    for part in parts:
        with socket.create_connection((address.host, address.port), timeout=ANSWER_S) as sock:
            with suppress(OSError):  # It may have had enough before all was sent.
                sock.sendall(part)
                sock.shutdown(socket.SHUT_WR)
            drain(sock)
    assert serves(node.pg.port)


@pytest.mark.parametrize("at", range(len(LATER)))
def test_garbage_in_a_session_ends_it_or_is_an_error(node: NodeProcess, at: int) -> None:
    with Frontend.connect(node.pg.port) as frontend:
        frontend.send(LATER[at], SYNC, TERMINATE)
        frontend.socket.shutdown(socket.SHUT_WR)
        answer = frontend.rest()
        for error in answer.errors:
            assert error["C"] not in ("XX000", "XX001"), error
    assert serves(node.pg.port)


def test_messages_that_were_cut_at_any_byte_do_no_harm(node: NodeProcess) -> None:
    whole = parse("SELECT $1::int4", types=[23]) + bind([b"1"]) + describe("P") + execute() + SYNC
    for end in range(1, len(whole)):
        with Frontend.connect(node.pg.port) as frontend:
            frontend.send(whole[:end])
            frontend.socket.shutdown(socket.SHUT_WR)
            assert not frontend.rest().errors
    assert serves(node.pg.port)


def test_flipped_bytes_are_answered_or_end_the_session(node: NodeProcess) -> None:
    whole = query("SELECT 1") + parse("SELECT $1::text") + bind([b"x"]) + execute() + SYNC
    drawn = random.Random(7)
    for _ in range(100):
        broken = bytearray(whole)
        for _ in range(drawn.randrange(1, 4)):
            broken[drawn.randrange(len(broken))] = drawn.randrange(256)
        with Frontend.connect(node.pg.port) as frontend:
            frontend.send(bytes(broken))
            frontend.socket.shutdown(socket.SHUT_WR)
            assert all(error["C"] != "XX000" for error in frontend.rest().errors)
    assert serves(node.pg.port)


def test_a_message_beyond_the_limit_is_refused_before_it_is_read(node: NodeProcess) -> None:
    with Frontend.connect(node.pg.port) as frontend:
        frontend.send(b"Q" + struct.pack("!i", (64 << 20) + 1))
        assert frontend.rest().error["S"] == "FATAL"


def test_a_message_that_says_it_is_huge_takes_no_memory_at_the_peer_door(node: NodeProcess) -> None:
    with socket.create_connection(("127.0.0.1", node.peer.port), timeout=ANSWER_S) as sock:
        sock.sendall(struct.pack("!I", (1 << 20) + 1))
        assert drain(sock) == b""
    assert serves(node.pg.port)


@pytest.mark.parametrize(
    "value",
    [
        "80",
        "a0",
        "8101",
        "8107",
        "83076131" + "02",
        "8308" + "0102",
        # A formation whose members are numbers; a link of a stranger.
        "844" + "3",
        "8403414141418101",
        "8a050101" + "6178" + "4801020304050607080902" + "01" + "4101" + "00" + "00",
    ],
)
def test_messages_that_nobody_sends_end_a_link_of_peers(node: NodeProcess, value: str) -> None:
    body = bytes.fromhex(value if len(value) % 2 == 0 else value + "0")
    with socket.create_connection(("127.0.0.1", node.peer.port), timeout=ANSWER_S) as sock:
        sock.sendall(struct.pack("!I", len(body)) + body)
        drain(sock)
    assert serves(node.pg.port)


def test_the_admin_door_answers_one_request_after_the_other(node: NodeProcess) -> None:
    request = b"%b HTTP/1.1\r\nHost: h\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node.admin.port), timeout=ANSWER_S) as sock:
        for path, status in [(b"GET /liveness", 200), (b"GET /readiness", 200), (b"GET /x", 404)]:
            sock.sendall(request % path)
            assert sock.recv(65_536).startswith(b"HTTP/1.1 %d" % status)
        sock.sendall(request % b"POST /cluster")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 405")
        sock.sendall(b"GET / HTTP/1.1\r\nnonsense\r\n\r\n")
        assert drain(sock).startswith(b"HTTP/1.1 400")


def test_a_head_beyond_the_limit_is_refused_at_the_admin_door(node: NodeProcess) -> None:
    with socket.create_connection(("127.0.0.1", node.admin.port), timeout=ANSWER_S) as sock:
        with suppress(OSError):  # It may have had enough before all was sent.
            sock.sendall(b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 431")
    assert serves(node.pg.port)


def drain(sock: socket.socket) -> bytes:
    """Read until the other side closes."""
    received = b""
    with suppress(ConnectionResetError):
        while data := sock.recv(65_536):
            received += data
    return received
