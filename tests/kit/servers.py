"""Programs that PhantomDB is measured by: PostgreSQL 15, a fresh one for a run of tests.

A server has a directory and a port of its own, is ready when it answers, and is ended by its pid.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from kit.frontend import Frontend

from phantomdb.client.processes import free_ports
from phantomdb.node.world import RealWorld

#: Where Debian puts it.
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
#: How long it may take until it answers, in seconds.
START_S = 45.0
#: Between two attempts to connect, in seconds.
ATTEMPT_S = 0.02
#: An oracle needs speed, not safety; and it says what we say of names and places.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_min_messages": "fatal",
    "max_connections": "50",
    "shared_buffers": "32MB",
    "max_stack_depth": "7MB",
}


def has_postgres() -> bool:
    """Whether PostgreSQL 15 can run here."""
    return (POSTGRES_BIN / "postgres").exists() and os.geteuid() == 0


#: What a peer in a benchmark has instead: the same promise as ours, each commit durable.
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class Server(NamedTuple):
    """A server that runs: where it listens, and its first process."""

    port: int
    pid: int


@contextmanager
def postgres(**overrides: str) -> Iterator[int]:
    """Run a fresh PostgreSQL 15 and give its port; `overrides` are settings."""
    with postgres_server(**overrides) as server:
        yield server.port


@contextmanager
def postgres_server(**overrides: str) -> Iterator[Server]:
    """Run a fresh PostgreSQL 15; `overrides` are settings."""
    # Under /tmp: its own user must reach it, and pytest's directories are root's alone.
    with TemporaryDirectory(prefix="phantomdb-oracle-") as top:
        Path(top).chmod(0o755)
        home = Path(top) / "data"
        home.mkdir()
        subprocess.run(["chown", "postgres", str(home)], check=True)
        initdb = [str(POSTGRES_BIN / "initdb"), "--lc-collate=C", "--lc-ctype=C.UTF-8", "-EUTF8"]
        run = [*initdb, "-A", "trust", "--no-sync", "-U", "postgres", "-D", str(home)]
        subprocess.run(run, check=True, capture_output=True, user="postgres", group="postgres")
        [port] = free_ports(1, RealWorld.make().random)
        arguments = [str(POSTGRES_BIN / "postgres"), "-D", str(home), "-p", str(port)]
        for name, value in (SETTINGS | {"unix_socket_directories": str(home)} | overrides).items():
            arguments += ["-c", f"{name}={value}"]
        with (Path(top) / "log").open("wb") as log:
            server = subprocess.Popen(
                arguments, stdout=log, stderr=log, user="postgres", group="postgres"
            )
        try:
            _wait(server, port)
            yield Server(port, server.pid)
        finally:
            server.send_signal(signal.SIGINT)  # Fast shutdown.
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + START_S
    while True:
        with suppress(OSError, EOFError), Frontend.connect(port) as db:
            if not db.greeting.errors:  # It listens before it serves, and says so.
                return
        assert server.poll() is None, "PostgreSQL ended before it was ready"
        assert time.monotonic() < end, f"PostgreSQL is not ready after {START_S:g} s"
        time.sleep(ATTEMPT_S)
