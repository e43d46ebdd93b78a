"""etcd beside us: three members on loopback, and the clients that drive them.

    with running_etcd(tmp_path) as etcd:
        leader = etcd.leader()
        etcd.load("put", through=leader, connections=64, seconds=5, keys=10_000)
        leader.kill(); leader.start(); leader.wait_ready()

Members and clients are one Go program, `bench/peers/etcd`, built into the user's cache and never
into the repository. Members have etcd's own defaults: every entry is fsynced by a majority before
it is acknowledged, a heartbeat takes 100 ms, an election 1 s. They have fresh directories and free
ports, are ready when their `/health` says so (a linearizable read), and are ended by pid.
"""

import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit.acks import EVERY_S, Acks
from kit.pgbench import Ran

from phantomdb.base.world import Address
from phantomdb.client.processes import free_ports
from phantomdb.node.world import RealWorld

SOURCE = Path(__file__).parent.parent / "peers" / "etcd"
PROGRAM = Path.home() / ".cache" / "phantomdb" / "peers" / "etcd"
#: How long a build may take; the first one fetches and compiles all of etcd.
BUILD_S = 280
#: How long members may take until they serve, and until they have stopped, in seconds.
START_S = 45.0
STOP_S = 15.0
#: How long a client may take beyond what it was told to, in seconds.
CLIENT_S = 60.0
#: Between two looks, in seconds.
LOOK_AGAIN_S = 0.02
#: Bytes of a value; a row of ours has as many.
VALUE_BYTES = 256


def build() -> Path:
    """Build the program, unless Go finds that nothing has changed."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    assert Path(go).exists(), "etcd is the peer: install Go (https://go.dev) to build it"
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [go, "build", "-mod=readonly", "-o", str(PROGRAM), "."],
        cwd=SOURCE,
        env=os.environ | {"CGO_ENABLED": "0"},  # As its makers build it.
        check=True,
        timeout=BUILD_S,
    )
    return PROGRAM


class Member:
    """One member: a process that comes and goes, with a directory and ports that stay."""

    def __init__(self, name: str, directory: Path, client: Address, peer: Address) -> None:
        self.name = name
        self.directory = directory
        self.log = directory.with_suffix(".log")
        self.client = client
        self.peer_url = f"http://{peer}"
        self._process: subprocess.Popen[bytes] | None = None
        self._command: list[str] = []

    @property
    def pid(self) -> int:
        """The process that runs."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def first_start(self, members: "list[Member]") -> None:
        """Start it as one of `members`."""
        client_url = f"http://{self.client}"
        cluster = ",".join(f"{member.name}={member.peer_url}" for member in members)
        self._command = [
            *(str(PROGRAM), "member", "--name", self.name, "--data-dir", str(self.directory)),
            *("--listen-client-urls", client_url, "--advertise-client-urls", client_url),
            *("--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url),
            *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
            *("--log-level", "warn"),
        ]
        self.start()

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it serves."""
        assert not self.is_running, f"{self.name} runs"
        # Settings of etcd in the environment are somebody else's.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean,
                process_group=0,
            )

    def wait_ready(self) -> None:
        """Wait until it serves linearizable reads."""
        end = time.monotonic() + START_S
        while not self._is_healthy():
            assert self.is_running, f"{self.name} ended:\n{self.log_tail()}"
            assert time.monotonic() < end, f"{self.name} is not ready:\n{self.log_tail()}"
            time.sleep(LOOK_AGAIN_S)

    def kill(self) -> None:
        """End it with SIGKILL; returns when the process is gone."""
        self._running().kill()
        self._running().wait()

    def stop(self) -> int | None:
        """Ask it to stop, and see to it; returns the exit code, `None` if it did not run."""
        if not self.is_running:
            return None
        self._running().terminate()
        try:
            return self._running().wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._running().returncode

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-2_000:]

    def _is_healthy(self) -> bool:
        link = http.client.HTTPConnection(self.client.host, self.client.port, timeout=START_S)
        try:
            link.request("GET", "/health")
            return link.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} was not started"
        return self._process


class Etcd:
    """Three members, and what clients do with them."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    @property
    def pids(self) -> list[int]:
        """The processes that run."""
        return [member.pid for member in self.members if member.is_running]

    def status(self) -> list[dict[str, Any]]:
        """Return what each running member says of itself: leader or not, revision, keys."""
        return self._client("status", self._endpoints())

    def leader(self) -> Member:
        """Return the member that leads; waits until one does."""
        end = time.monotonic() + START_S
        while True:
            leaders = [said["endpoint"] for said in self.status() if said["is_leader"]]
            found = [member for member in self.members if str(member.client) in leaders]
            if len(found) == 1:
                return found[0]
            assert time.monotonic() < end, f"not one leader: {leaders}"

    def move_leader(self) -> None:
        """Let another member lead."""
        self._client("move", self._endpoints())

    def fill(self, keys: int) -> None:
        """Write keys 1 to `keys`."""
        flags = ["-keys", str(keys), "-bytes", str(VALUE_BYTES)]
        self._client("fill", str(self.leader().client), *flags)

    def load(
        self, kind: str, *, through: Member, connections: int, seconds: float, keys: int
    ) -> Ran:
        """Drive a member with `put` or `get` of the keys, one at a time on each connection."""
        flags = ["-kind", kind, "-connections", str(connections), "-duration", f"{seconds}s"]
        flags += ["-keys", str(keys), "-bytes", str(VALUE_BYTES)]
        [said] = self._client("load", str(through.client), *flags, seconds=seconds)
        return Ran(said["count"] / said["seconds"], said["count"], said["p50_us"])

    @contextmanager
    def ticks(self, prefix: str) -> Iterator[Acks]:
        """Let one client that knows all members start a write every 10 ms, while the block runs."""
        flags = ["-prefix", prefix, "-every", f"{EVERY_S}s", "-bytes", str(VALUE_BYTES)]
        client = subprocess.Popen(
            [str(PROGRAM), "tick", "-endpoints", self._endpoints(), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        acks = Acks()
        assert client.stdin is not None
        assert client.stdout is not None
        reader = threading.Thread(target=_read_acks, args=(client, acks), daemon=True)
        reader.start()
        try:
            yield acks
            client.stdin.close()  # It waits for its last writes, and ends.
            assert client.wait(CLIENT_S) == 0, "the client that ticks failed"
            reader.join(CLIENT_S)
        finally:
            client.kill()
            client.wait()
            client.stdin.close()
            reader.join(CLIENT_S)
            client.stdout.close()

    def numbers(self, prefix: str) -> set[int]:
        """Return the numbers of the writes of `ticks` that are there."""
        return {
            int(number) for number in self._client("keys", self._endpoints(), "-prefix", prefix)
        }

    def _endpoints(self) -> str:
        return ",".join(str(member.client) for member in self.members if member.is_running)

    def _client(self, command: str, endpoints: str, *flags: str, seconds: float = 0) -> list[Any]:
        done = subprocess.run(
            [str(PROGRAM), command, "-endpoints", endpoints, *flags],
            check=False,  # What it says is shown below.
            capture_output=True,
            text=True,
            timeout=seconds + CLIENT_S,
        )
        assert done.returncode == 0, f"etcd {command}: {done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]


def _read_acks(client: "subprocess.Popen[bytes]", acks: Acks) -> None:
    assert client.stdout is not None
    for line in client.stdout:
        ack = json.loads(line)
        acks.add(ack["number"], ack["at"])


@contextmanager
def running_etcd(directory: Path) -> Iterator[Etcd]:
    """Build etcd and run three members; afterwards they have ended."""
    build()
    directory.mkdir(parents=True, exist_ok=True)
    addresses = [Address("127.0.0.1", port) for port in free_ports(6, RealWorld.make().random)]
    members = [
        Member(f"m{at + 1}", directory / f"m{at + 1}", addresses[2 * at], addresses[2 * at + 1])
        for at in range(3)
    ]
    try:
        for member in members:
            member.first_start(members)
        for member in members:
            member.wait_ready()
        yield Etcd(members)
    finally:
        for member in members:
            member.stop()
