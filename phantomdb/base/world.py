"""Everything outside a process, as protocols: `node/world.py` makes the real one.

Code above takes a `World`, draws no randomness and opens no socket by itself, so a simulation can
run the same code on a simulated network.

A node's time is trio's: `trio.current_time` and what waits by it. A simulation gives `trio.run` a
clock of its own. What a node's clock says of the day is the core's to know; the log alone shows it.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol, Self

_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> Self:
        """Read `HOST:PORT` or `[HOST]:PORT`; raises `ValueError` for anything else."""
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            if default_port is None:
                raise ValueError(f"{text!r} is not HOST:PORT")
            host, port = text, str(default_port)
        host = host.removeprefix("[").removesuffix("]")
        if not _is_host(host) or not port.isdecimal() or not 0 <= int(port) <= _PORT_MAX:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_host(text: str) -> bool:
    """Whether a resolver can be asked for it: what it cannot encode is no `OSError` to it."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return bool(text) and "\0" not in text


class Request(Enum):
    """What an operator can ask of a process by a signal, beside its end."""

    #: SIGHUP: read again what can change while the node runs.
    RELOAD = "SIGHUP"
    #: SIGUSR1: say what it is doing.
    REPORT = "SIGUSR1"


class Clock(Protocol):
    """The time of programs that are no node: they run without trio, and so without its clock."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds since an arbitrary start; never goes back."""
        ...


class Random(Protocol):
    """A source of random numbers and bytes."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def randbytes(self, n: int) -> bytes:
        """Return `n` random bytes."""
        ...


class Stream(Protocol):
    """A connection that keeps the order of its bytes."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return some bytes, or none at the end."""
        ...

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; cancelled in the middle, the connection is of no more use."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


class Listener(Protocol):
    """A socket that takes connections, to be served here."""

    @property
    def address(self) -> Address:
        """Where it listens; its port is never 0."""
        ...

    async def accept(self) -> Stream:
        """Return the next connection."""
        ...

    async def aclose(self) -> None:
        """Close it; connections live on."""
        ...


class Door(Protocol):
    """A listening socket that nobody serves yet."""

    @property
    def address(self) -> Address:
        """Where it listens; its port is never 0."""
        ...

    @property
    def name(self) -> str:
        """Where it listens, for people."""
        ...

    def detach(self) -> int:
        """Give its descriptor away, to whoever serves it."""
        ...

    def close(self) -> None:
        """Close it, unless it was given away."""
        ...


class Network(Protocol):
    """What connects nodes and clients."""

    async def listen(self, address: Address) -> Listener:
        """Listen, and accept here; raises `OSError` if the address is in use or not ours."""
        ...

    def bind(self, address: Address) -> Door:
        """Listen for another to accept; raises `OSError` as `listen` does."""
        ...

    def bind_path(self, path: Path) -> Door:
        """Listen at a path that this user alone may open, removing what a dead process left.

        Raises `OSError`, with EADDRINUSE if a living process has it.
        """
        ...

    def is_own(self, host: str) -> bool:
        """Whether a host, by name or number, is this machine."""
        ...

    def host_name(self) -> str:
        """Return the name of this machine."""
        ...

    async def resolve(self, address: Address) -> list[Address]:
        """Return the numeric addresses of a host; raises `OSError` if it has none."""
        ...


class World(Protocol):
    """What a simulation replaces, beside trio's clock."""

    @property
    def random(self) -> Random:
        """Random numbers."""
        ...

    @property
    def network(self) -> Network:
        """Connections."""
        ...

    async def wait_readable(self, fd: int) -> None:
        """Wait until a file descriptor of the reactor has something to read."""
        ...

    def on_terminate(self) -> AbstractContextManager[Callable[[], Awaitable[None]]]:
        """Give a function that waits for the next request to end (SIGTERM, SIGINT)."""
        ...

    def on_request(self) -> AbstractContextManager[Callable[[], Awaitable[Request]]]:
        """Give a function that waits for the next request of an operator (SIGHUP, SIGUSR1)."""
        ...
