"""A PostgreSQL client that hides nothing: messages out, messages in, errors field by field.

For what drivers keep from their users: portals, Flush, pipelines, broken messages, and answers that
are compared byte by byte with PostgreSQL's.
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

#: How long an answer may take, in seconds.
ANSWER_S = 45.0

TEXT, BINARY = 0, 1


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return a message of the frontend."""
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value: str) -> bytes:
    """Return a string as messages hold it."""
    return value.encode() + b"\0"


def startup(*, version: int = 3 << 16, **parameters: str) -> bytes:
    """Return a startup packet."""
    body = b"".join(text(name) + text(value) for name, value in parameters.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, version) + body


def query(sql: str) -> bytes:
    """Return a simple query."""
    return message(b"Q", text(sql))


def parse(sql: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    """Return Parse."""
    oids = struct.pack(f"!h{len(types)}I", len(types), *types)
    return message(b"P", text(name) + text(sql) + oids)


def bind(
    values: Sequence[bytes | None] = (),
    *,
    portal: str = "",
    name: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    """Return Bind."""
    body = text(portal) + text(name) + _formats(formats) + struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"B", body + _formats(results))


def _formats(formats: Sequence[int]) -> bytes:
    return struct.pack(f"!h{len(formats)}h", len(formats), *formats)


def describe(kind: str, name: str = "") -> bytes:
    """Return Describe of a statement ("S") or portal ("P")."""
    return message(b"D", kind.encode() + text(name))


def execute(portal: str = "", rows_max: int = 0) -> bytes:
    """Return Execute."""
    return message(b"E", text(portal) + struct.pack("!i", rows_max))


def close(kind: str, name: str = "") -> bytes:
    """Return Close of a statement ("S") or portal ("P")."""
    return message(b"C", kind.encode() + text(name))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result, as RowDescription tells it, without the numbers of its table."""

    name: str
    type_oid: int
    size: int
    typmod: int
    format: int


#: A value that was not NULL, or `None`.
Row = tuple[bytes | None, ...]
#: Fields of an error or notice by their letter.
Fields = dict[str, str]


@dataclass(slots=True)
class Answer:
    """What a server says until ReadyForQuery."""

    columns: list[Column] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    errors: list[Fields] = field(default_factory=list)
    notices: list[Fields] = field(default_factory=list)
    #: The letters of its messages, one each, but of DataRow (the first of a run) and parameters.
    kinds: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    parameter_types: list[int] = field(default_factory=list)

    @property
    def error(self) -> Fields:
        """Its only error."""
        assert len(self.errors) == 1, f"{len(self.errors)} errors in {self}"
        return self.errors[0]

    @property
    def sqlstate(self) -> str:
        """The code of its error, or nothing."""
        return self.errors[0]["C"] if self.errors else ""

    def values(self) -> list[tuple[str | None, ...]]:
        """Return rows of text."""
        return [tuple(None if v is None else v.decode() for v in row) for row in self.rows]

    def take(self, kind: str, body: bytes) -> None:
        """Take one message."""
        if not (kind == "S" or (kind == "D" and self.kinds.endswith("D"))):
            self.kinds += kind
        if kind == "T":
            self.columns = list(_columns(body))
        elif kind == "D":
            self.rows.append(_row(body))
        elif kind == "C":
            self.tags.append(body[:-1].decode())
        elif kind == "E":
            self.errors.append(_fields(body))
        elif kind == "N":
            self.notices.append(_fields(body))
        elif kind == "S":
            name, value = body[:-1].split(b"\0")
            self.parameters[name.decode()] = value.decode()
        elif kind == "t":
            (count,) = struct.unpack_from("!h", body)
            self.parameter_types = list(struct.unpack_from(f"!{count}I", body, 2))


def _columns(body: bytes) -> Sequence[Column]:
    (count,) = struct.unpack_from("!h", body)
    at = 2
    columns = []
    for _ in range(count):
        end = body.index(b"\0", at)
        _, _, oid, size, typmod, form = struct.unpack_from("!IhIhih", body, end + 1)
        columns.append(Column(body[at:end].decode(), oid, size, typmod, form))
        at = end + 19
    assert at == len(body), "RowDescription ends with its last column"
    return columns


def _row(body: bytes) -> Row:
    (count,) = struct.unpack_from("!h", body)
    at = 2
    values: list[bytes | None] = []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    assert at == len(body), "DataRow ends with its last value"
    return tuple(values)


def _fields(body: bytes) -> Fields:
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


class Frontend:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = bytearray()
        self.greeting = Answer()
        self.key = b""

    @classmethod
    def open(cls, port: int) -> Self:
        """Connect, and say nothing."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    @classmethod
    def connect(cls, port: int, **parameters: str) -> Self:
        """Connect and begin a session."""
        frontend = cls.open(port)
        try:
            frontend.send(startup(**({"user": "postgres", "database": "postgres"} | parameters)))
            frontend.greeting = frontend.answer()
        except BaseException:
            frontend.socket.close()
            raise
        return frontend

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *messages: bytes) -> None:
        """Send, whether the server reads or not."""
        self.socket.sendall(b"".join(messages))

    def receive(self) -> tuple[str, bytes]:
        """Return the next message; raises `EOFError` when the server has closed."""
        while len(self._buffer) < 5:
            self._more()
        (length,) = struct.unpack_from("!i", self._buffer, 1)
        while len(self._buffer) < length + 1:
            self._more()
        kind = chr(self._buffer[0])
        body = bytes(self._buffer[5 : length + 1])
        del self._buffer[: length + 1]
        return kind, body

    def receive_byte(self) -> bytes:
        """Return one byte: the answer to a request for encryption."""
        while not self._buffer:
            self._more()
        first = bytes(self._buffer[:1])
        del self._buffer[:1]
        return first

    def _more(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self._buffer += data

    def answer(self) -> Answer:
        """Return all until ReadyForQuery, or until the server closes after an error."""
        answer = Answer()
        while "Z" not in answer.kinds:
            try:
                kind, body = self.receive()
            except EOFError:
                if answer.errors:
                    return answer
                raise
            if kind == "K":
                self.key = body
            answer.take(kind, body)
        return answer

    def rest(self) -> Answer:
        """Return all until the server closes."""
        answer = Answer()
        while True:
            try:
                answer.take(*self.receive())
            except EOFError:
                return answer

    def until(self, kind: str) -> Answer:
        """Return all until the first message of a kind."""
        answer = Answer()
        while True:
            found, body = self.receive()
            answer.take(found, body)
            if found == kind:
                return answer

    def query(self, sql: str) -> Answer:
        """Run a simple query."""
        self.send(query(sql))
        return self.answer()

    def extended(
        self,
        sql: str,
        values: Sequence[bytes | None] = (),
        *,
        types: Sequence[int] = (),
        formats: Sequence[int] = (),
        result: int = BINARY,
    ) -> Answer:
        """Run one statement by Parse, Bind, Describe, Execute and Sync."""
        self.send(
            parse(sql, types=types),
            bind(values, formats=formats, results=(result,)),
            describe("P"),
            execute(),
            SYNC,
        )
        return self.answer()


def serves(port: int) -> bool:
    """Whether a new session is answered."""
    with Frontend.connect(port) as db:
        return db.query("SELECT 1").values() == [("1",)]


@contextmanager
def table_in(ports: Sequence[int], name: str, rows: str) -> Iterator[None]:
    """Have a table of these rows, `name (k int PRIMARY KEY, v text)`, behind each of the ports."""
    for port in ports:
        with Frontend.connect(port) as db:
            assert not db.query(f"CREATE TABLE {name} (k int PRIMARY KEY, v text)").errors
            assert not db.query(f"INSERT INTO {name} VALUES {rows}").errors
    yield
    for port in ports:
        with Frontend.connect(port) as db:
            assert not db.query(f"DROP TABLE {name}").errors
