"""Certificates of a cluster for tests, and nodes that have them.

made = made_certificates(tmp_path)
with certified_cluster(tmp_path, made) as nodes:
    psycopg.connect(**made.connection("alice"), host=..)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kit.cluster import wait_ready

from phantomdb.base.world import Address
from phantomdb.certificates import folders
from phantomdb.certificates.signing import Authority
from phantomdb.client.processes import COMMAND, NodeProcess, free_ports
from phantomdb.node.world import RealWorld

_WORLD = RealWorld.make()


@dataclass(frozen=True)
class Made:
    """An authority, and the folder where what it signs is put."""

    authority: Authority
    folder: Path

    def node(self, name: str, *, days: int = 30, where: str = "") -> Path:
        """Return the folder of a node's files, made anew."""
        now = datetime.now(UTC)
        signed = self.authority.sign_node(name, ["localhost", "127.0.0.1"], now=now, days=days)
        folder = self.folder / (where or f"node-{name}")
        folders.write_node(folder, signed, self.authority.files.certificate)
        return folder

    def client(self, role: str, *, ago: timedelta = timedelta(0)) -> dict[str, str]:
        """Return parameters of libpq with a client's certificate, good for a day since `ago`."""
        now = datetime.now(UTC) - ago
        signed = self.authority.sign_client(role, now=now, days=1)
        folder = self.folder / f"client-{role}-{ago.days}"
        if not folder.exists():
            folders.write_client(folder, signed, self.authority.files.certificate)
        return {
            "user": role,
            "dbname": "postgres",
            "sslmode": "verify-full",
            "sslrootcert": str(folder / "ca.crt"),
            "sslcert": str(folder / "client.crt"),
            "sslkey": str(folder / "client.key"),
        }


def made_certificates(folder: Path, cluster: str = "bank") -> Made:
    """Make an authority."""
    made = Authority.make(cluster, now=datetime.now(UTC), days=100)
    return Made(made, folder)


@contextmanager
def certified_nodes(
    directory: Path, made: Sequence[Made], *options: str
) -> Iterator[list[NodeProcess]]:
    """Run nodes with certificates, node n with one of `made[n]`, until they serve; end them."""
    ports = free_ports(3 * len(made), _WORLD.random)
    addresses = [Address("127.0.0.1", port) for port in ports]
    nodes = [
        NodeProcess(
            f"n{at + 1}",
            directory / f"n{at + 1}",
            pg=addresses[3 * at],
            peer=addresses[3 * at + 1],
            admin=addresses[3 * at + 2],
            join=addresses[1::3],
            clock=_WORLD.clock,
            command=(*COMMAND, "--certs", str(one.node(f"n{at + 1}")), *options),
        )
        for at, one in enumerate(made)
    ]
    try:
        for node in nodes:
            node.start()
        yield nodes
        assert {node.stop() for node in nodes} <= {0, None}
    except BaseException as error:
        for node in nodes:
            error.add_note(f"--- end of {node.log}\n{node.log_tail()}")
        raise
    finally:
        for node in nodes:
            node.stop()


@contextmanager
def certified_cluster(
    directory: Path, made: Made, *options: str, nodes: int = 1
) -> Iterator[list[NodeProcess]]:
    """Run nodes that serve, with certificates of one authority."""
    with certified_nodes(directory, [made] * nodes, *options) as running:
        for node in running:
            node.wait_ready()
        for node in running:
            wait_ready(node)
        yield running
