"""The admin door and clients that are no browsers: each gets an answer or is closed.

Balancers, scrapers and people with netcat use this door while the cluster is in trouble, so nothing
that one of them does may cost the others or the node.
"""

import json
import random
import socket
from contextlib import suppress

import pytest

from phantomdb.client.processes import NodeProcess

END = b"\r\n\r\n"
HOST = b"\r\nHost: h"


def exchange(node: NodeProcess, *parts: bytes, ends: bool = True) -> bytes:
    """Send parts one by one, and return all that comes until the node closes."""
    with socket.create_connection((node.admin.host, node.admin.port), timeout=45) as sock:
        received = b""
        with suppress(OSError):  # The node may have answered and closed before the last part.
            for part in parts:
                sock.sendall(part)
            if ends:
                sock.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while data := sock.recv(1 << 16):
                received += data
    return received


def statuses(answer: bytes) -> list[int]:
    """Return the status of each response."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def lives(node: NodeProcess) -> bool:
    """Whether the door answers."""
    return statuses(exchange(node, b"GET /liveness HTTP/1.1" + HOST + END)) == [200]


REQUESTS: dict[str, tuple[bytes, list[int]]] = {
    "three in a row": ((b"GET /liveness HTTP/1.1" + HOST + END) * 3, [200, 200, 200]),
    "a version without hosts": (b"GET /liveness HTTP/1.0" + END, [200]),
    "no host": (b"GET /liveness HTTP/1.1" + END, [400]),
    "an unknown method": (b"BREW /liveness HTTP/1.1" + HOST + END, [405]),
    "CONNECT": (b"CONNECT h:1 HTTP/1.1" + HOST + END, [405]),
    "OPTIONS of everything": (b"OPTIONS * HTTP/1.1" + HOST + END, [404]),
    "a whole URL": (b"GET http://h/liveness HTTP/1.1" + HOST + END, [404]),
    "a path that climbs": (b"GET /../../etc/passwd HTTP/1.1" + HOST + END, [404]),
    "a long path": (b"GET /" + b"a" * 15_000 + b" HTTP/1.1" + HOST + END, [404]),
    "a query": (b"GET /liveness?a=b&c HTTP/1.1" + HOST + END, [200]),
    "an upgrade": (
        b"GET /liveness HTTP/1.1" + HOST + b"\r\nUpgrade: h2c\r\nConnection: upgrade" + END,
        [200],
    ),
    "a body that is told": (
        b"POST /liveness HTTP/1.1" + HOST + b"\r\nContent-Length: 5" + END + b"hello",
        [405],
    ),
    "a GET with a body, and another behind": (
        b"GET /liveness HTTP/1.1"
        + HOST
        + b"\r\nContent-Length: 5"
        + END
        + b"helloGET /liveness HTTP/1.1"
        + HOST
        + END,
        [200],
    ),
    "a body in pieces": (
        b"PUT /x HTTP/1.1"
        + HOST
        + b"\r\nTransfer-Encoding: chunked"
        + END
        + b"1\r\na\r\n" * 5_000
        + b"0"
        + END,
        [405],
    ),
    "a body that never comes": (
        b"POST /x HTTP/1.1" + HOST + b"\r\nContent-Length: 99999999999" + END,
        [405],
    ),
    "leave to send is asked for": (
        b"PUT /x HTTP/1.1" + HOST + b"\r\nContent-Length: 5\r\nExpect: 100-continue" + END,
        [405],
    ),
    "two lengths": (
        b"GET / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nContent-Length: 2" + END,
        [400],
    ),
    "a head of a megabyte": (b"GET / HTTP/1.1" + HOST + b"\r\nx: " + b"y" * (1 << 20), [431]),
    "a thousand headers": (b"GET / HTTP/1.1" + HOST + b"\r\na: b" * 1_000 + END, [404]),
    "bytes that are no text": (b"GET /\xff\xfe HTTP/1.1" + HOST + END, [400]),
    "another protocol": (b"PRI * HTTP/2.0\r\n\r\nSM" + END, [405, 400]),
    "half a request": (b"GET /live", [400]),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_strange_request_has_an_answer(node: NodeProcess, name: str) -> None:
    request, expected = REQUESTS[name]
    found = statuses(exchange(node, request))
    if found or len(request) < 1 << 16:  # A reset before bytes unread may take an answer away.
        assert found == expected
    assert lives(node)


def test_head_says_what_get_would(node: NodeProcess) -> None:
    for path in (b"/liveness", b"/readiness", b"/cluster", b"/metrics", b"/absent"):
        got = exchange(node, b"GET " + path + b" HTTP/1.1" + HOST + END)
        head = exchange(node, b"HEAD " + path + b" HTTP/1.1" + HOST + END)
        assert statuses(head) == statuses(got)
        assert head.endswith(END), "a head alone"
        assert b"content-length: " in head.lower()


def test_a_request_may_come_byte_by_byte(node: NodeProcess) -> None:
    request = b"GET /cluster HTTP/1.1" + HOST + END
    answer = exchange(node, *(bytes([byte]) for byte in request))
    head, _, body = answer.partition(END)
    assert head.startswith(b"HTTP/1.1 200")
    assert json.loads(body)["members"]


def test_a_head_that_does_not_end_is_closed(node: NodeProcess) -> None:
    assert exchange(node, b"GET /liveness HTTP/1.1" + HOST, ends=False) == b""
    assert lives(node)


def test_flipped_bytes_are_answered_or_closed(node: NodeProcess) -> None:
    whole = b"GET /liveness HTTP/1.1" + HOST + b"\r\nContent-Length: 3\r\nUpgrade: x" + END + b"abc"
    drawn = random.Random(9)
    for _ in range(300):
        broken = bytearray(whole * 2)
        for _ in range(drawn.randrange(1, 6)):
            broken[drawn.randrange(len(broken))] = drawn.choice(b"\r\n :\0\xff19aT")
        exchange(node, bytes(broken))
    assert lives(node)
