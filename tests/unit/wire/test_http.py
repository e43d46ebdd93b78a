import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantomdb.wire.http import HEAD_BYTES_MAX, BadRequest, Connection, Request, Response

GET = b"GET /cluster?full=1 HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_request_is_read_however_it_is_split() -> None:
    for cut in range(1, len(GET)):
        connection = Connection()
        connection.feed(GET[:cut])
        assert connection.next_request() is None
        connection.feed(GET[cut:])
        assert connection.next_request() == Request("GET", "/cluster", "full=1")


def test_requests_follow_each_other_on_one_connection() -> None:
    connection = Connection()
    connection.feed(GET + GET.replace(b"/cluster", b"/second"))
    for path in ("/cluster", "/second"):
        request = connection.next_request()
        assert request is not None
        assert request.path == path
        answer = connection.respond(Response(200, b"{}"))
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n{}")
        assert connection.may_go_on()


def test_a_head_request_is_answered_without_a_body() -> None:
    connection = Connection()
    connection.feed(GET.replace(b"GET", b"HEAD"))
    assert connection.next_request() == Request("HEAD", "/cluster", "full=1")
    answer = connection.respond(Response(200, b"12345"), head_only=True)
    assert b"content-length: 5" in answer.lower()
    assert answer.endswith(b"\r\n\r\n")


def test_a_client_that_ends_ends_the_connection() -> None:
    connection = Connection()
    connection.feed(b"")
    with pytest.raises(EOFError):
        connection.next_request()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nbroken\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nx: " + b"a" * HEAD_BYTES_MAX, 431),
    ],
)
def test_what_is_no_request_is_refused_with_its_status(sent: bytes, status: int) -> None:
    connection = Connection()
    connection.feed(sent)
    with pytest.raises(BadRequest) as caught:
        connection.next_request()
    assert caught.value.status == status
    assert connection.respond(Response(status, b"")).startswith(b"HTTP/1.1 %d" % status)


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_are_requests_or_refused(parts: list[bytes]) -> None:
    connection = Connection()
    for part in parts:
        connection.feed(part)
        try:
            request = connection.next_request()
        except (BadRequest, EOFError):
            return
        assert request is None or request.path
        if request is not None:
            connection.respond(Response(200, b""))
            return


def test_a_request_with_a_body_is_the_last() -> None:
    connection = Connection()
    connection.feed(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nbody")
    assert connection.next_request() is not None
    connection.respond(Response(200, b""))
    assert not connection.may_go_on()
