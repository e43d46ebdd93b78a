"""The real world: this machine's clocks, randomness, sockets and signals."""

import contextlib
import errno
import os
import random
import re
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import trio

from phantomdb.base.world import Address, Door, Listener, Request, Stream

#: Connections that may wait for `accept`.
_BACKLOG = 1024
#: stdin, stdout and stderr are 0, 1 and 2.
_STANDARD_LAST = 2
#: What a terminal, a logrotate or a timer sends, and what would end a process that has not said
#: otherwise. INT and TERM end a node in order, QUIT and ABRT at once.
_STRAY_SIGNALS = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPWR,
    signal.SIGSTKFLT,
)
#: What a machine has that does not tell.
_MEMORY_UNKNOWN = 1 << 30
#: Where the system tells of its memory, of this process's cgroups, and of their bounds.
_MEMINFO = Path("/proc/meminfo")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
#: Descriptors where the system sets no bound.
_DESCRIPTORS_MAX = 1 << 20


class RealClock:
    """The machine's clocks: the one place where wall time is read, beside the log's lines."""

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch; may jump."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return nanoseconds since an arbitrary start."""
        return time.monotonic_ns()


class RealListener:
    """A listening socket whose connections are served here."""

    def __init__(self, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        self._address = Address(host, port)
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._address

    async def accept(self) -> Stream:
        """Return the next connection."""
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Close it."""
        await self._listener.aclose()


class RealDoor:
    """A listening socket that is served by the reactor."""

    def __init__(
        self, listening: socket.socket, address: Address, path: Path | None = None
    ) -> None:
        self._socket = listening
        self._address = address
        self._path = path
        #: Which file it has made, for another may have its name by the end.
        self._file = _identity(path) if path is not None else None

    @property
    def address(self) -> Address:
        """Where it listens; of one at a path the path, and a port that says nothing."""
        return self._address

    @property
    def name(self) -> str:
        """Where it listens, for people."""
        return str(self._path or self._address)

    def detach(self) -> int:
        """Give its descriptor away."""
        return self._socket.detach()

    def close(self) -> None:
        """Close it, unless it was given away; what it has made in the file system goes."""
        self._socket.close()
        if self._path is not None and _identity(self._path) == self._file:
            self._path.unlink(missing_ok=True)


class RealNetwork:
    """TCP, and sockets of the file system."""

    async def listen(self, address: Address) -> Listener:
        """Listen; raises `OSError` if the address is in use or not ours."""
        return RealListener(_listening(address))

    def bind(self, address: Address) -> Door:
        """Listen for another; raises `OSError` if the address is in use or not ours."""
        listening = _listening(address)
        host, port = listening.getsockname()[:2]
        return RealDoor(listening, Address(host, port))

    def bind_path(self, path: Path) -> Door:
        """Listen at a path; raises `OSError`, with EADDRINUSE if a living process has it."""
        if _is_answered(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), str(path))
        if path.is_socket():
            path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o077)
        try:
            listening.bind(str(path))
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        finally:
            os.umask(mask)
        return RealDoor(listening, Address(str(path), 1), path)

    def is_own(self, host: str) -> bool:
        """Whether a host is this machine: a socket can be bound to one of its addresses."""
        return any(_is_bindable(*found) for found in _look_up(Address(host, 0)))

    def host_name(self) -> str:
        """Return the name of this machine."""
        return socket.gethostname()

    async def resolve(self, address: Address) -> list[Address]:
        """Return the numeric addresses of a host; raises `OSError` if it has none."""
        found = await trio.socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        return [Address(str(place[0]), int(place[1])) for *_, place in found]


#: Where a socket can be bound: its family, and an address as that has it.
_Place = tuple[socket.AddressFamily, tuple[str | int | bytes, ...]]


def _look_up(address: Address) -> list[_Place]:
    """Return the families and places of an address here; none for a name that nobody knows."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        return []
    return [(family, place) for family, _, _, _, place in found]


def _is_bindable(family: socket.AddressFamily, place: tuple[str | int | bytes, ...]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        try:
            tried.bind(place)
        except OSError:
            return False
        return True


def _listening(address: Address) -> socket.socket:
    found = _look_up(address)
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL), str(address))
    family, place = found[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `[::]` is all addresses of both versions, whatever the machine thinks of it.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(place)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what tells a file from all others, as numbers are used again; `None` if none is."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _is_answered(path: Path) -> bool:
    """Whether a process serves a socket of the file system: a dead one's is left behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(0)
        try:
            asking.connect(str(path))
        except BlockingIOError:
            return True  # So many wait there that there is no room for another.
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


class RealWorld:
    """The world that a node has in production."""

    def __init__(self) -> None:
        #: For programs that are no node: a node's time is trio's.
        self.clock = RealClock()
        self.random = random.SystemRandom()
        self.network = RealNetwork()

    @classmethod
    def make(cls) -> Self:
        """Return it; refuses `python -O`, which would leave our asserts out."""
        if not __debug__:
            raise SystemExit("phantomdb: run without -O: its asserts are part of its safety")
        return cls()

    async def wait_readable(self, fd: int) -> None:
        """Wait until a file descriptor has something to read."""
        await trio.lowlevel.wait_readable(fd)

    @contextlib.contextmanager
    def on_terminate(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Give a function that waits for the next SIGTERM or SIGINT."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

            async def wait() -> None:
                async for _ in signals:
                    return

            yield wait

    @contextlib.contextmanager
    def on_request(self) -> Iterator[Callable[[], Awaitable[Request]]]:
        """Give a function that waits for the next SIGHUP or SIGUSR1."""
        with trio.open_signal_receiver(signal.SIGHUP, signal.SIGUSR1) as signals:

            async def wait() -> Request:
                async for number in signals:
                    return Request(signal.Signals(number).name)
                raise AssertionError("signals come for as long as they are received")

            yield wait

    @staticmethod
    def ignore_stray_signals() -> None:
        """Let no signal end this process that nobody means as its end.

        Those that a node heeds are received once it runs; before and after they are ignored too.
        """
        for number in _STRAY_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @staticmethod
    def hold_standard_files() -> None:
        """Open `/dev/null` where a standard file was closed at the start.

        Else a socket or a file of the engine would get its number, and whatever writes a last word
        to stderr would write it there.
        """
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_LAST:
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - its only form
        os.close(descriptor)

    @staticmethod
    def say(line: str) -> None:
        """Write a line to stdout at once, past buffers; raises `OSError`."""
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(1, data) :]

    @staticmethod
    def descriptors() -> int:
        """How many descriptors this process may have: as many as it can be given, from now on."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return most if most != resource.RLIM_INFINITY else _DESCRIPTORS_MAX

    @staticmethod
    def cores() -> int:
        """How many processors this process may use."""
        return len(os.sched_getaffinity(0))

    @staticmethod
    def memory_bytes() -> int:
        """How much memory this process may have: the machine's, or less where a cgroup says so."""
        own = _read(_OWN_CGROUPS)
        bounds = [_read(_CGROUPS / file) for file in memory_bound_files(own)]
        return memory_of(_read(_MEMINFO), bounds)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # Not this kind of system, or not this kind of cgroup.


def memory_bound_files(own_cgroups: str) -> list[str]:
    """Return the files with bounds of memory below `/sys/fs/cgroup`, those of parents included.

    `own_cgroups` is `/proc/self/cgroup`: lines of `number:controllers:path`; version 2 has no
    controllers. A container often sees its own cgroup as the root whatever the path says.
    """
    files = ["memory.max", "memory/memory.limit_in_bytes"]
    for line in own_cgroups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        above = "memory/" if controllers else ""
        file = "memory.limit_in_bytes" if controllers else "memory.max"
        parts = [part for part in path.split("/") if part]
        if ".." not in parts:
            files += [f"{above}{'/'.join(parts[:n])}/{file}" for n in range(1, len(parts) + 1)]
    return files


def memory_of(meminfo: str, bounds: Sequence[str]) -> int:
    """Return the least of the machine's memory and the bounds, in bytes.

    `meminfo` is `/proc/meminfo`; each bound is what a cgroup's file has: a number, or `max`. What
    is not there bounds nothing; of a machine that does not tell 1 GiB is believed.
    """
    found = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
    machine = int(found[1]) << 10 if found else _MEMORY_UNKNOWN
    told = [int(bound) for bound in map(str.strip, bounds) if re.fullmatch(r"\d{1,20}", bound)]
    return min([machine, *(bound for bound in told if bound > 0)])
