"""Nodes with networks of their own: clients from elsewhere, and nodes that come back elsewhere.

Each node has a network namespace, and all are on one bridge; it takes root, as the oracle does.
Names of hosts are in a file that a test changes, as a resolver's answers change under containers.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from kit.certified import Made, made_certificates
from kit.cluster import wait_until

from phantomdb.base.world import Address
from phantomdb.client.processes import COMMAND, NodeProcess
from phantomdb.node.world import RealWorld

pytestmark = pytest.mark.slow

PG, PEER, ADMIN = 5432, 7400, 8008
_WORLD = RealWorld.make()


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Place:
    """A machine's network: a namespace with one address on the bridge."""

    def __init__(self, bridge: str, number: int) -> None:
        self.name = f"{bridge}n{number}"
        self.number = number
        self._bridge = bridge
        outside, inside = f"{bridge}o{number}", f"{bridge}i{number}"
        ip("netns", "add", self.name)
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.name)
        ip("link", "set", outside, "master", bridge, "up")
        self._inside = inside
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "set", inside, "up")
        #: What this machine knows of names; `ip netns exec` puts it in place of /etc/hosts.
        self.names = Path("/etc/netns") / self.name / "hosts"
        self.names.parent.mkdir(parents=True)
        self.names.write_text("")
        self.move(number)

    def move(self, number: int) -> None:
        """Have another address, and no more the former one."""
        ip("-n", self.name, "addr", "flush", "dev", self._inside)
        self.host = f"10.77.0.{number}"
        ip("-n", self.name, "addr", "add", f"{self.host}/24", "dev", self._inside)

    def command(self, *words: str) -> list[str]:
        """Return a command that runs there."""
        return ["ip", "netns", "exec", self.name, *words]

    def remove(self) -> None:
        """Take it away, and its end of the bridge with it."""
        ip("netns", "del", self.name)
        shutil.rmtree(self.names.parent)


@pytest.fixture
def places() -> Iterator[list[Place]]:
    bridge = f"ph{os.getpid() % 100_000}"
    with contextlib.ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(ip, "link", "del", bridge)
        ip("link", "set", bridge, "up")
        made = []
        for number in (1, 2, 3):
            made.append(Place(bridge, number))
            stack.callback(made[-1].remove)
        yield made


class PlacedNode(NodeProcess):
    """A node that listens on all addresses of a place; its ready line names one of them."""

    def __init__(self, place: Place, directory: Path, made: Made, join: Sequence[Address]) -> None:
        name = f"n{place.number}"
        certs = made.folder / f"node-{name}"
        if not certs.exists():
            made.node(name)
        super().__init__(
            name,
            directory / name,
            pg=Address("0.0.0.0", PG),
            peer=Address("0.0.0.0", PEER),
            admin=Address("127.0.0.1", ADMIN),
            join=join,
            clock=_WORLD.clock,
            command=place.command(*COMMAND, "--certs", str(certs)),
        )

    def wait_serving(self, times: int) -> None:
        """Wait until it serves for the so-many-th time."""
        said = "serving at most"
        wait_until(self, said, lambda: self.log.read_text().count(said) == times)


def psql(place: Place, host: str, sql: str, **words: str) -> tuple[int, str]:
    """Ask something from a place; psql's exit code, and what it said."""
    given = {"host": host, "port": str(PG), "dbname": "postgres", "connect_timeout": "20"} | words
    connection = " ".join(f"{name}={value}" for name, value in given.items())
    ended = subprocess.run(
        place.command("psql", "-XAtd", connection, "-c", sql),
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return ended.returncode, (ended.stdout + ended.stderr).strip()


def count(place: Place, host: str, **words: str) -> str:
    """Return how many rows a node finds, or what it says."""
    return psql(place, host, "SELECT count(*) FROM t", **words)[1]


def name_all(places: Sequence[Place]) -> None:
    """Let each place know where all of them are."""
    lines = "".join(f"{place.host} n{place.number}.ph.test\n" for place in places)
    for place in places:
        place.names.write_text(f"127.0.0.1 localhost\n{lines}")


def restart(nodes: Sequence[PlacedNode], times: int) -> None:
    """Start nodes, and wait until they serve for the so-many-th time."""
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_serving(times)


@pytest.mark.timeout(300)
def test_nodes_are_found_wherever_they_are(places: list[Place], tmp_path: Path) -> None:
    made = made_certificates(tmp_path)
    alice = made.client("alice") | {"sslmode": "verify-ca"}
    names = [Address(f"n{place.number}.ph.test", PEER) for place in places]
    nodes = [PlacedNode(place, tmp_path, made, names) for place in places]
    try:
        name_all(places)
        restart(nodes, 1)
        code, said = psql(places[1], "n1.ph.test", "CREATE TABLE t (k int PRIMARY KEY)", **alice)
        assert code == 0, said
        assert count(places[0], "n3.ph.test", **alice) == "0"
        # From elsewhere nobody is trusted without a certificate.
        for words, why in [
            ({"sslmode": "disable"}, "must be encrypted"),
            ({"sslmode": "require"}, "must show a certificate"),
        ]:
            code, said = psql(places[1], "n1.ph.test", "SELECT 1", user="alice", **words)
            assert code != 0
            assert why in said
        assert count(places[0], "127.0.0.1", user="alice", sslmode="disable") == "0"

        # One comes back elsewhere, under its name.
        nodes[2].stop()
        places[2].move(13)
        name_all(places)
        restart(nodes[2:], 2)
        nodes[0].stop()
        assert psql(places[1], "n3.ph.test", "INSERT INTO t VALUES (1)", **alice)[0] == 0

        # All come back elsewhere, under names that nobody knew before.
        for node in nodes:
            node.stop()
        for place in places:
            place.move(20 + place.number)
            place.names.write_text("127.0.0.1 localhost\n")
        moved = [Address(place.host, PEER) for place in places]
        nodes = [PlacedNode(place, tmp_path, made, moved) for place in places]
        for node in nodes:
            node.start()
        for node, times in zip(nodes, (2, 2, 3), strict=True):
            node.wait_serving(times)
        assert [count(places[0], place.host, **alice) for place in places] == ["1"] * 3
        assert {node.stop() for node in nodes} == {0}
    except BaseException as error:
        for node in nodes:
            error.add_note(f"--- end of {node.log}\n{node.log_tail()}")
        raise
    finally:
        for node in nodes:
            node.stop()
