"""Disks that hang: every sync of a node waits until the test lets it go on.

Such a node says that it is not ready, and why. What it was asked to write ends by its time as
unknown, and what it was asked to read comes from a leader whose disk answers. It ends when it is
told to, whatever its disk does.
"""

import http.client
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kit.cluster import (
    LOOK_S,
    ROWS_GROUP,
    SYSTEM_GROUP,
    leader_of,
    running_cluster,
    session,
    wait_ready,
    wait_until,
)
from kit.gauges import metric
from kit.shims.troubled import Trouble

from phantomdb.client import view
from phantomdb.client.processes import STOP_S, Cluster, NodeProcess

#: Longer than any test runs, in milliseconds.
FOR_EVER_MS = 600_000


def readiness(node: NodeProcess) -> dict[str, Any]:
    """Return what a node says of itself, with its status."""
    connection = http.client.HTTPConnection(node.admin.host, node.admin.port, timeout=LOOK_S)
    try:
        connection.request("GET", "/readiness")
        answer = connection.getresponse()
        return {"status": answer.status, **json.load(answer)}
    finally:
        connection.close()


def fill(cluster: Cluster) -> None:
    with session(cluster.nodes[0]) as db:
        db.execute("CREATE TABLE rows (k int4 PRIMARY KEY)")
        db.execute("INSERT INTO rows VALUES (1), (2), (3)")


def hang(trouble: Trouble, node: NodeProcess) -> None:
    """Let the disk of a node hang until it is told otherwise, and wait until it says so."""
    trouble.slow_syncs([node.name], ms=FOR_EVER_MS)
    wait_until(node, "it is stalled", lambda: readiness(node)["state"] == "stalled")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_whose_disk_hangs_is_not_ready_and_says_so(tmp_path: Path) -> None:
    trouble = Trouble(tmp_path)
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        fill(cluster)
        leader = leader_of(cluster, ROWS_GROUP)
        others = [node for node in cluster.nodes if node is not leader]
        hang(trouble, leader)
        told = readiness(leader)
        assert (told["status"], told["ready"]) == (503, False)
        assert "its disk has not answered for" in told["why"]
        assert metric(leader, "phantomdb_disk_pending_ms") > 1_000
        seen_by = others[0]
        wait_until(seen_by, "others say so", lambda: state_of(seen_by, leader) == "stalled")
        for group in (SYSTEM_GROUP, ROWS_GROUP):
            assert leader_of(cluster, group, without=[leader]) in others
        with session(others[1]) as db:
            db.execute("INSERT INTO rows VALUES (4)")

        trouble.slow_syncs([leader.name], ms=0)
        wait_ready(leader)
        said = "the disk answers again"
        wait_until(leader, "it says so", lambda: said in leader.log.read_text())
        with session(leader) as db:
            assert db.execute("SELECT count(*) FROM rows").fetchone() == (4,)


def state_of(asked: NodeProcess, node: NodeProcess) -> str:
    members = view.ask(asked.admin, LOOK_S).members
    return next(member.state for member in members if member.name == node.name)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_statements_through_a_follower_whose_disk_hangs_are_served_by_the_leader(
    tmp_path: Path,
) -> None:
    trouble = Trouble(tmp_path)
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        fill(cluster)
        leader = leader_of(cluster, ROWS_GROUP)
        follower = next(
            node
            for node in cluster.nodes
            if node is not leader and node is not leader_of(cluster, SYSTEM_GROUP)
        )
        with session(follower, statement_timeout_s=20) as db:
            hang(trouble, follower)
            assert db.execute("SELECT count(*) FROM rows").fetchone() == (3,)
            assert db.execute("SELECT k FROM rows WHERE k = 2").fetchone() == (2,)
            db.execute("INSERT INTO rows VALUES (4)")
            assert db.execute("SELECT count(*) FROM rows WHERE k > 0").fetchone() == (4,)
        trouble.slow_syncs([follower.name], ms=0)
        wait_ready(follower)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_write_that_a_hung_disk_has_ends_by_its_timeout_as_unknown(tmp_path: Path) -> None:
    trouble = Trouble(tmp_path)
    with running_cluster(tmp_path, nodes=1, command=trouble.command) as cluster:
        fill(cluster)
        [node] = cluster.nodes
        with session(node, statement_timeout_s=2) as db:
            trouble.slow_syncs([node.name], ms=FOR_EVER_MS)
            with pytest.raises(psycopg.Error) as told:
                db.execute("INSERT INTO rows VALUES (4)")
            assert told.value.sqlstate == "40003"
            trouble.slow_syncs([node.name], ms=0)
        wait_ready(node)
        with session(node) as db:
            assert db.execute("SELECT count(*) FROM rows").fetchone() in {(3,), (4,)}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("nodes", [1, 3])
def test_a_node_whose_disk_hangs_ends_when_it_is_told_to(tmp_path: Path, nodes: int) -> None:
    trouble = Trouble(tmp_path)
    with running_cluster(tmp_path, nodes=nodes, command=trouble.command) as cluster:
        fill(cluster)
        node = leader_of(cluster, ROWS_GROUP)
        hang(trouble, node)
        assert node.stop(STOP_S) == 7, "it ended by itself, and says what its disk did"
        assert "the disk has not answered for" in node.log_tail()
        trouble.slow_syncs([node.name], ms=0)
        node.start()
        node.wait_ready()
        with session(node) as db:
            assert db.execute("SELECT count(*) FROM rows").fetchone() == (3,)
