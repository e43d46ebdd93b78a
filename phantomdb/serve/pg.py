"""PostgreSQL connections: bytes between a socket and its session in the core.

Two tasks a connection. The reader feeds the session and sends what that answered at once; the
writer sends what is ready later. Both send under one lock, so that output keeps its order. What
the session wants decided (a plan, a schema change, a cancellation) goes to `decide`.

A client that closes its half is told what it has asked for until then, as by PostgreSQL. Whether it
has closed both is learned by sending to it.
"""

import math
import traceback
from collections.abc import Awaitable, Callable

import trio

from phantomdb.base.errors import PhantomError
from phantomdb.base.settings import Limits
from phantomdb.base.world import Address, Stream
from phantomdb.core import Node, Signal
from phantomdb.core.session_events import SessionEvent

#: How much is read from a client at once, in bytes.
READ_BYTES = 64 << 10
#: How long is waited for a client whose message has ended its session to hear of it, in seconds.
LINGER_S = 2.0

#: How SSLRequest and GSSENCRequest begin: eight bytes long, code 1234.
_ENCRYPT_HEAD = b"\0\0\0\x08\x04\xd2"

#: Carries out what a session cannot.
Decide = Callable[[int, SessionEvent], Awaitable[None]]


def sessions(
    node: Node, decide: Decide, limits: Limits, drain: trio.Event
) -> Callable[[Stream, Address], Awaitable[None]]:
    """Return what serves one connection of a client.

    Once `drain` is set, each session ends with 57P01 as soon as no statement runs in it.
    """

    async def serve_one(stream: Stream, _address: Address) -> None:
        try:
            session = node.open_session()
        except PhantomError as error:
            await _refuse(stream, error, limits)
            return
        try:
            await Connection(node, session, stream, decide, limits.startup_s).run(drain)
        finally:
            node.close_session(session)

    return serve_one


class Connection:
    """One client's connection, for as long as it lasts."""

    def __init__(
        self, node: Node, session: int, stream: Stream, decide: Decide, startup_s: float
    ) -> None:
        self._node = node
        self._session = session
        self._stream = stream
        self._decide = decide
        self._startup_s = startup_s
        self._signal = node.session_signal(session)
        self._room = Signal()
        self._sending = False
        self._draining = False
        self._has_misspoken = False

    async def run(self, drain: trio.Event) -> None:
        """Serve until the client or the session ends, or until `drain` finds it idle."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery)
            nursery.start_soon(self._end_on, drain)
            await self._read(nursery)
        if self._has_misspoken:
            await self._linger()

    async def _linger(self) -> None:
        """Read on, or closing would reset the connection and take our last words with it."""
        with trio.move_on_after(LINGER_S):
            await self._stream.send_eof()
            while await self._stream.receive_some(READ_BYTES):
                pass

    async def _read(self, nursery: trio.Nursery) -> None:
        node, session = self._node, self._session
        # A connection that does not begin holds no session for long.
        with trio.move_on_after(self._startup_s) as startup:
            while data := await self._stream.receive_some(READ_BYTES):
                await self._feed(bytes(data), nursery)
                if node.session_is_closing(session):
                    self._has_misspoken = True
                    break
                if not node.session_is_starting(session):
                    startup.deadline = math.inf
            else:
                node.feed_session(session, b"")
            self._signal.set()  # The writer ends the connection, with all that is to be sent.
            return
        nursery.cancel_scope.cancel()

    async def _feed(self, data: bytes, nursery: trio.Nursery) -> None:
        while data:
            taken = self._node.feed_session(self._session, data)
            self._handle_events(nursery)
            await self._send()
            data = data[taken:]
            if data and not taken:
                await self._room.wait()

    async def _write(self, nursery: trio.Nursery) -> None:
        while True:
            await self._signal.wait()
            self._room.set()
            if self._draining:
                self._node.end_idle_session(self._session)
            self._handle_events(nursery)
            await self._send()
            # What the reader is about to send is not cut off: it sets the signal when it has.
            if self._node.session_is_closing(self._session) and not self._sending:
                nursery.cancel_scope.cancel()

    async def _end_on(self, drain: trio.Event) -> None:
        await drain.wait()
        self._draining = True
        self._signal.set()

    def _handle_events(self, nursery: trio.Nursery) -> None:
        while (event := self._node.next_session_event(self._session)) is not None:
            nursery.start_soon(self._decide, self._session, event)

    async def _send(self) -> None:
        if self._sending:
            return  # The other task is at it, and takes what there is until there is no more.
        self._sending = True
        try:
            while (out := self._node.take_session_out(self._session)) is not None:
                await self._stream.send_all(out)
        finally:
            self._sending = False


def _place(error: PhantomError) -> tuple[str, int, str]:
    """Return the file, line and function that raised an error, as an ErrorResponse names them."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{frame.f_globals['__name__'].replace('.', '/')}.py", line, frame.f_code.co_name


async def _refuse(stream: Stream, error: PhantomError, limits: Limits) -> None:
    """Tell a client why it has no session, as an ErrorResponse after its first message."""
    with trio.move_on_after(limits.startup_s):
        first = await stream.receive_some(READ_BYTES)
        if bytes(first).startswith(_ENCRYPT_HEAD):
            await stream.send_all(b"N")  # It asked for encryption first.
            await stream.receive_some(READ_BYTES)
        file, line, routine = _place(error)
        fields = b"".join(
            code + text.encode() + b"\0"
            for code, text in [
                (b"S", "FATAL"),
                (b"V", "FATAL"),
                (b"C", error.sqlstate),
                (b"M", error.message),
                (b"F", file),
                (b"L", str(line)),
                (b"R", routine),
            ]
        )
        body = fields + b"\0"
        await stream.send_all(b"E" + (len(body) + 4).to_bytes(4, "big") + body)
