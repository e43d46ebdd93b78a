"""HTTP/1.1 on the server's side, over h11: bytes in, requests out. One request at a time.

Bodies are not read: the admin door has no verb that takes one, so a request with a body is
answered and the connection closed.
"""

from dataclasses import dataclass, field

import h11

#: A request line with its headers beyond this is refused (431), in bytes.
HEAD_BYTES_MAX = 16 << 10


class BadRequest(Exception):
    """Bytes that are no request; `status` says how they are refused."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for; the path is without its query."""

    method: str
    path: str
    query: str


@dataclass(frozen=True, slots=True)
class Response:
    """What it is told."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=())


class Connection:
    """One connection of the admin door."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)

    def feed(self, data: bytes) -> None:
        """Take bytes of the client; none is its end of the connection."""
        self._h11.receive_data(data)

    def next_request(self) -> Request | None:
        """Return the next request, or `None` if more bytes are needed.

        Raises `BadRequest` for what is no request, and `EOFError` once the client has ended.
        """
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint, str(error)) from error
        if isinstance(event, h11.Request):
            path, _, query = event.target.decode("ascii").partition("?")
            return Request(event.method.decode("ascii"), path, query)
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise EOFError
        return self.next_request()

    def respond(self, response: Response, *, head_only: bool = False) -> bytes:
        """Return the bytes of an answer."""
        headers = [
            ("content-type", response.content_type),
            ("content-length", str(len(response.body))),
            *response.headers,
        ]
        sent = self._h11.send(h11.Response(status_code=response.status, headers=headers)) or b""
        if not head_only:
            sent += self._h11.send(h11.Data(data=response.body)) or b""
        return sent + (self._h11.send(h11.EndOfMessage()) or b"")

    def may_go_on(self) -> bool:
        """Prepare for the next request; false if the connection must be closed."""
        if self._h11.their_state is h11.SEND_BODY:
            try:
                self._h11.next_event()  # The end of a request without a body.
            except h11.RemoteProtocolError:
                return False
        if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True
