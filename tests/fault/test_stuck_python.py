"""Nodes whose Python does not come: statements by key, votes and leaderships do without it.

What needs a decision waits, and is told so after a while; nothing else notices. Each is tried with
the interpreter's lock free and held: no thread of a node asks for it.
"""

from pathlib import Path

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster, session, wait_ready
from kit.steady import settled
from kit.stuck_node import Stuck

from phantomdb.client.processes import Cluster

#: Statements of each kind, through each node.
STATEMENTS = 50
#: Needs a plan, which is asked of Python.
PLANNED = "SELECT count(*) FROM stuck WHERE v >= 0 AND k > $1"

pytestmark = pytest.mark.parametrize("holds_lock", [False, True], ids=["lock free", "lock held"])


def fill(cluster: Cluster) -> None:
    with session(cluster.nodes[0]) as db:
        settled(lambda: db.execute("CREATE TABLE stuck (k int4 PRIMARY KEY, v int4)"))
        settled(lambda: db.execute("INSERT INTO stuck VALUES (1, 0), (2, 0), (3, 0)"))


def count(cluster: Cluster, at: int, key: int) -> None:
    """Add one to a row again and again through a node, on a new connection, and read it back."""
    with session(cluster.nodes[at]) as db:
        for n in range(1, STATEMENTS + 1):
            db.execute("UPDATE stuck SET v = v + 1 WHERE k = $1", (key,))
            found = db.execute("SELECT v FROM stuck WHERE k = $1", (key,)).fetchone()
            assert found == (n,)


@pytest.mark.timeout(120)
def test_statements_by_key_go_on(tmp_path: Path, holds_lock: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    stuck = Stuck(tmp_path, holds_lock=holds_lock)
    with running_cluster(tmp_path, command=stuck.command) as cluster:
        fill(cluster)
        with stuck.these(cluster.nodes):
            for at in range(3):
                count(cluster, at, at + 1)
        for node in cluster.nodes:
            wait_ready(node)


@pytest.mark.timeout(120)
def test_elections_are_held(tmp_path: Path, holds_lock: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    stuck = Stuck(tmp_path, holds_lock=holds_lock)
    with running_cluster(tmp_path, command=stuck.command) as cluster:
        fill(cluster)
        leader = leader_of(cluster, ROWS_GROUP)
        others = [node for node in cluster.nodes if node is not leader]
        with stuck.these(others):
            leader.kill()
            with session(others[0]) as db:
                # The read waits for a leader, and there is nobody but them to be one.
                sql = "SELECT v FROM stuck WHERE k = 1"
                assert settled(lambda: db.execute(sql).fetchone()) == (0,)
        assert leader_of(cluster, ROWS_GROUP, without=[leader]) in others


@pytest.mark.timeout(120)
def test_others_lead_and_who_waits_for_a_decision_is_told(
    tmp_path: Path,
    holds_lock: bool,  # noqa: FBT001 - pytest gives it by name
) -> None:
    stuck = Stuck(tmp_path, holds_lock=holds_lock)
    with running_cluster(tmp_path, command=stuck.command) as cluster:
        fill(cluster)
        leader = leader_of(cluster, ROWS_GROUP)
        with stuck.these([leader]), session(leader) as db:
            with pytest.raises(psycopg.errors.CannotConnectNow, match="control plane"):
                db.execute(PLANNED, (0,))
            leader_of(cluster, ROWS_GROUP, without=[leader])
            # The session lives, what needs no decision is answered, and what does is told at once.
            assert settled(lambda: db.execute("SELECT v FROM stuck WHERE k = 1").fetchone()) == (0,)
            with pytest.raises(psycopg.errors.CannotConnectNow, match="control plane"):
                db.execute(PLANNED, (0,))
        wait_ready(leader)
        with session(leader) as db:
            assert settled(lambda: db.execute(PLANNED, (1,)).fetchone()) == (2,)
