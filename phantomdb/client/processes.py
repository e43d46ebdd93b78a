"""Nodes as processes of this machine: started, watched, troubled and ended by their pid.

The demo and the tests start nodes as a person would, with the `phantomdb` command of the running
interpreter.

- A node is ready when it says so on stdout; nothing waits for a fixed time.
- Every wait has a deadline, and ends at once if the node does.
- Nodes are in process groups of their own, so Ctrl-C reaches only who started them. Leaving a
  `Cluster` ends all of its processes, whatever happened inside.
- A node keeps its ports for life: it can be killed and started again where others look for it.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from phantomdb.base.errors import PhantomError
from phantomdb.base.world import Address, Clock, Random

#: What runs a node. `-P` keeps the current directory out of the path: the installed package runs.
COMMAND = (sys.executable, "-P", "-m", "phantomdb", "start")
#: How long a node may take until it serves; recovery of a large log is the longest part.
START_S = 60.0
#: How long a node may take to stop by itself; its own grace for sessions is 5 s.
STOP_S = 15.0
#: Memory of a node's storage engine: three of them fit beside other work.
MEMORY_BYTES = 128 << 20
#: Memory of the statements of a node: as many large ones as a person runs on one machine.
SQL_MEMORY_BYTES = 1 << 30
#: The end of a log that is shown when a node fails, in bytes.
LOG_TAIL_BYTES = 2_000
#: Ports are searched from here to the range that the system gives to outgoing connections.
_PORT_FIRST = 10_000
_PORT_LAST = 32_767
#: The longest ready line, in bytes; it holds four short fields.
_READY_BYTES_MAX = 4_096


class NodeFailed(PhantomError):
    """A node ended, or did not become ready, while it was needed."""


class Deadline:
    """A moment on a clock's monotonic scale."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end_ns = clock.monotonic_ns() + round(seconds * 1e9)

    @property
    def left_s(self) -> float:
        """Seconds until then; 0 when it has passed."""
        return max(0.0, (self._end_ns - self._clock.monotonic_ns()) / 1e9)


class NodeProcess:
    """One node: a process that comes and goes, with a directory and ports that stay."""

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        pg: Address,
        peer: Address,
        admin: Address,
        join: Sequence[Address],
        clock: Clock,
        command: Sequence[str] = COMMAND,
        memory_bytes: int = MEMORY_BYTES,
        sql_memory_bytes: int = SQL_MEMORY_BYTES,
    ) -> None:
        self.name = name
        self.directory = directory
        self.log = directory.with_suffix(".log")
        self.pg = pg
        self.peer = peer
        self.admin = admin
        self._clock = clock
        self._command = [
            *command,
            *("--data", str(directory), "--name", name),
            *("--memory", str(memory_bytes), "--sql-memory", str(sql_memory_bytes)),
            *("--listen-pg", str(pg), "--listen-peer", str(peer), "--listen-admin", str(admin)),
            *(("--join", ",".join(map(str, join))) if len(join) > 1 else ()),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._killer: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process; a paused one is one."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_wanted(self) -> bool:
        """Whether it was started, and neither killed nor stopped since."""
        return self._process is not None and self._killer is None

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it serves."""
        assert not self.is_running, f"{self.name} runs"
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,
            )

    def wait_ready(self, seconds: float = START_S) -> None:
        """Wait for the ready line; raises `NodeFailed` with the end of the log."""
        process = self._running()
        assert process.stdout is not None, "stdout is a pipe"
        deadline = Deadline(self._clock, seconds)
        out = process.stdout.fileno()
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([out], [], [], deadline.left_s)
            data = os.read(out, _READY_BYTES_MAX) if readable else b""
            line += data
            if not readable:
                raise self._failed(f"is not ready after {seconds:g} s")
            if not data:
                raise self._failed(f"ended with exit code {process.wait()} before it was ready")
        try:
            ready = json.loads(line)
            told = Address.parse(ready["pg"])
        except (ValueError, TypeError, KeyError) as error:
            raise self._failed(f"said {line[:200]!r} instead of being ready") from error
        if told != self.pg:
            raise self._failed(f"listens on {told}, not on {self.pg}")

    def watch(self, seconds: float) -> None:
        """Let time pass while the node runs; raises `NodeFailed` at once if it ends."""
        try:
            code = self._running().wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        raise self._failed(f"ended with exit code {code}")

    def kill_soon(self) -> None:
        """Let another process send SIGKILL, some milliseconds from now.

        The caller goes on at once and is in the middle of something when it happens. `kill` sees to
        it that it has happened.
        """
        command = ["sh", "-c", f"kill -9 {self.pid}"]
        self._killer = subprocess.Popen(command, process_group=0)  # noqa: S603 - a number

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does; returns when the process is gone."""
        process = self._running()
        process.kill()
        process.wait()
        self._close()

    def pause(self) -> None:
        """Stop it where it stands (SIGSTOP); its connections stay open and silent."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._running().send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Ask it to stop (SIGTERM), paused or not; `wait_stopped` waits."""
        if self.is_running:
            self._running().send_signal(signal.SIGTERM)
            self._running().send_signal(signal.SIGCONT)

    def wait_stopped(self, seconds: float = STOP_S) -> int | None:
        """Wait for its end, and end it with SIGKILL after `seconds`.

        Returns the exit code, negative for a signal; `None` if it did not run.
        """
        if self._process is None:
            return None
        try:
            code = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._close()
        return code

    def stop(self, seconds: float = STOP_S) -> int | None:
        """Ask it to stop, and see to it."""
        self.ask_to_stop()
        return self.wait_stopped(seconds)

    def log_tail(self) -> str:
        """Return the end of its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    def _close(self) -> None:
        process = self._running()
        assert process.returncode is not None, f"{self.name} has ended"
        if process.stdout is not None:
            process.stdout.close()
        if self._killer is not None:
            self._killer.wait()
        self._process = self._killer = None

    def _failed(self, what: str) -> NodeFailed:
        return NodeFailed(f"{self.name} {what}", hint=f"{self.log}:\n{self.log_tail()}".rstrip())


class Cluster:
    """Nodes that were started with one `--join` list; leaving it ends them all."""

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int,
        clock: Clock,
        random: Random,
        command: Sequence[str] = COMMAND,
        memory_bytes: int = MEMORY_BYTES,
        sql_memory_bytes: int = SQL_MEMORY_BYTES,
    ) -> None:
        assert nodes > 0, "a cluster has a node"
        ports = free_ports(3 * nodes, random)
        addresses = [Address("127.0.0.1", port) for port in ports]
        self._clock = clock
        self.directory = directory
        self.nodes = tuple(
            NodeProcess(
                f"n{at + 1}",
                directory / f"n{at + 1}",
                pg=addresses[3 * at],
                peer=addresses[3 * at + 1],
                admin=addresses[3 * at + 2],
                join=addresses[1::3],
                clock=clock,
                command=command,
                memory_bytes=memory_bytes,
                sql_memory_bytes=sql_memory_bytes,
            )
            for at in range(nodes)
        )

    def __enter__(self) -> Self:
        """Start all nodes and wait until they serve; raises `NodeFailed`."""
        try:
            for node in self.nodes:
                node.start()
            deadline = Deadline(self._clock, START_S)
            for node in self.nodes:
                node.wait_ready(deadline.left_s)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all nodes."""
        self.end()

    def node(self, name: str) -> NodeProcess:
        """Return the node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def watch(self, seconds: float) -> None:
        """Let time pass while all nodes run that were started and not killed.

        Raises `NodeFailed` at once for one that has ended, or that ends meanwhile.
        """
        wanted = [node for node in self.nodes if node.is_wanted]
        for node in wanted:
            node.watch(0)
        if wanted:
            wanted[0].watch(seconds)

    def end(self) -> list[int | None]:
        """End all processes, those that do not by themselves by SIGKILL; returns exit codes."""
        try:
            for node in self.nodes:
                node.ask_to_stop()
            deadline = Deadline(self._clock, STOP_S)
            codes = [node.wait_stopped(deadline.left_s) for node in self.nodes]
        except BaseException:
            # Interrupted once more: the grace is over, and still no process is left behind.
            for node in self.nodes:
                node.wait_stopped(0)
            raise
        return codes


def free_ports(count: int, random: Random) -> list[int]:
    """Return ports of the loopback interface that a node can listen on now.

    They lie below the range of outgoing connections. Inside it, a peer that dials a node which is
    down can be given that very port for its own end, and so connect to itself and keep it.
    """
    first = _PORT_FIRST + int(random.random() * (_PORT_LAST - _PORT_FIRST) / 2)
    ports: list[int] = []
    for port in range(first, _PORT_LAST):
        if len(ports) == count:
            break
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    if len(ports) < count:
        raise PhantomError(f"no {count} free ports between {first} and {_PORT_LAST}")
    return ports
