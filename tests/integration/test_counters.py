"""What a node counts of its connections, its turns and its reads."""

import socket
import struct

from kit.frontend import TERMINATE, Frontend
from kit.gauges import metric

from phantomdb.client.processes import NodeProcess


def ended(node: NodeProcess, why: str) -> int:
    """Return how many connections have ended for a reason."""
    return metric(node, f'phantomdb_connections_ended_total{{why="{why}"}}')


def until_ended(node: NodeProcess, why: str, count: int) -> None:
    """Wait until so many have; the numbers are those of the last turn."""
    while ended(node, why) < count:
        node.watch(0.01)


def test_connections_are_counted_by_why_they_ended(node: NodeProcess) -> None:
    before = {why: ended(node, why) for why in ("client_left", "session_ended", "malformed")}
    Frontend.connect(node.pg.port).socket.close()
    with Frontend.connect(node.pg.port) as frontend:
        frontend.send(TERMINATE)
        frontend.rest()
    with socket.create_connection((node.peer.host, node.peer.port), timeout=45) as peer:
        peer.sendall(struct.pack("!I", 1 << 31))
        assert peer.recv(1) == b""
    for why, count in before.items():
        until_ended(node, why, count + 1)


def test_reads_by_a_lease_and_turns_are_counted(node: NodeProcess) -> None:
    with Frontend.connect(node.pg.port) as frontend:
        frontend.query("CREATE TABLE IF NOT EXISTS counted (k int4 PRIMARY KEY)")
        names = ("phantomdb_barriers_by_lease_total", "phantomdb_turns_total")
        before = [metric(node, name) for name in names]
        for k in range(20):
            assert not frontend.query(f"SELECT k FROM counted WHERE k = {k}").errors
        assert metric(node, "phantomdb_connections") >= 1
        while metric(node, names[0]) < before[0] + 20:
            node.watch(0.01)
        assert metric(node, names[1]) > before[1]
        frontend.query("DROP TABLE counted")
