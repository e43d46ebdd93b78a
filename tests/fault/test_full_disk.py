"""Disks fill up under clients: writes go on elsewhere or are refused by name, and nothing is lost.

Each node has an ext4 disk of 700 MiB, of which it keeps 256 in reserve; a file of ballast fills it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from kit.cluster import (
    LOOK_S,
    ROWS_GROUP,
    leader_of,
    running_cluster,
    session,
    wait_caught_up,
    wait_ready,
    wait_until,
)
from kit.disks import SmallDisk, small_disks
from kit.gauges import metric
from kit.ledger import TRANSIENT, Clients, Ledger, check, prepare

from phantomdb.client import view
from phantomdb.client.processes import Cluster, NodeProcess

NAMES = ["n1", "n2", "n3"]
MIB = 1 << 20
#: Under the reserve, and enough for everything but new entries.
SHORT = 200 * MIB
#: Under a quarter of the reserve: nothing new is kept.
ALMOST_NOTHING = 20 * MIB
#: A node whose disk is full lets others lead; where nobody does, it answers so.
TOLERATED = TRANSIENT | {"53100"}
DISK_FULL = "53100"
#: How a node ends whose disk is full to the last block.
EXIT_CODE = 7
#: How long it may take until a node writes a block when it has nothing to do: its clock's bound.
END_S = 120.0


@contextmanager
def disks_and_cluster(directory: Path) -> Iterator[tuple[dict[str, SmallDisk], Cluster]]:
    with small_disks(directory, NAMES) as disks, running_cluster(directory) as cluster:
        prepare(cluster)
        yield disks, cluster


def is_called(node: NodeProcess, state: str, asked: NodeProcess) -> bool:
    """Whether a node that is asked says so of a node."""
    members = view.ask(asked.admin, LOOK_S).members
    return next(member.state for member in members if member.name == node.name) == state


def wait_for_state(cluster: Cluster, node: NodeProcess, state: str) -> None:
    """Wait until all nodes that run say so, the node itself first."""
    for asked in [node, *(other for other in cluster.nodes if other is not node)]:
        wait_until(
            asked,
            f"{asked.name} calls {node.name} {state}",
            partial(is_called, node, state, asked),
        )


def term(asked: NodeProcess) -> int:
    return view.ask(asked.admin, LOOK_S).group(ROWS_GROUP).term


def refusal(node: NodeProcess) -> psycopg.Error | None:
    """Try a write; return why it was refused, if it was for a full disk."""
    try:
        with session(node) as db:
            db.execute("UPDATE counter SET n = n + 0 WHERE id = 1")
    except psycopg.Error as error:
        if error.sqlstate not in TOLERATED:
            raise
        return error if error.sqlstate == DISK_FULL else None
    return None


def is_refused(node: NodeProcess) -> bool:
    return refusal(node) is not None


def takes_writes(node: NodeProcess) -> bool:
    try:
        with session(node) as db:
            db.execute("UPDATE counter SET n = n + 0 WHERE id = 1")
    except psycopg.Error as error:
        if error.sqlstate not in TOLERATED:
            raise
        return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_leader_with_a_full_disk_hands_over_and_writes_go_on(tmp_path: Path) -> None:
    ledger = Ledger()
    with disks_and_cluster(tmp_path) as (disks, cluster):
        full = leader_of(cluster, ROWS_GROUP)
        with Clients(cluster, ledger, tolerated=TOLERATED):
            ledger.wait_for(100)
            disks[full.name].fill(leave=SHORT)
            leader_of(cluster, ROWS_GROUP, without=[full])
            wait_for_state(cluster, full, "degraded")
            # Clients read back what they write all the time, through the full node too.
            ledger.wait_for(200, through=cluster.nodes)
            assert leader_of(cluster, ROWS_GROUP) is not full, "it does not come back"
            assert metric(full, "phantomdb_disk_short") == 1
            assert metric(full, "phantomdb_disk_free_bytes") <= SHORT
            assert view.is_ready(full.admin, LOOK_S), "a degraded node serves"
            disks[full.name].empty()
            wait_for_state(cluster, full, "running")
            ledger.wait_for(200, through=cluster.nodes)
        wait_caught_up(cluster, full)
        check(cluster, ledger)
        said = full.log.read_text()
        assert said.index("the disk is full") < said.index("the disk has room again")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("leave", [SHORT, ALMOST_NOTHING], ids=["short", "almost_nothing"])
def test_a_follower_with_a_full_disk_disturbs_nobody_and_catches_up(
    tmp_path: Path, leave: int
) -> None:
    ledger = Ledger()
    with disks_and_cluster(tmp_path) as (disks, cluster):
        leader = leader_of(cluster, ROWS_GROUP)
        full = next(node for node in cluster.nodes if node is not leader)
        with Clients(cluster, ledger, tolerated=TOLERATED):
            ledger.wait_for(100)
            before = term(leader)
            disks[full.name].fill(leave=leave)
            wait_for_state(cluster, full, "degraded")
            ledger.wait_for(300, through=cluster.nodes)
            lag = view.look(leader.admin, LOOK_S).lag(full.name)
            assert lag is not None
            assert lag > 300, "it is sent nothing new"
            assert view.look(leader.admin, LOOK_S).problems()[0].startswith(f"{full.name} is degr")
            assert term(leader) == before, "nobody else had to lead"
            disks[full.name].empty()
            wait_for_state(cluster, full, "running")
            ledger.wait_for(200, through=cluster.nodes)
        wait_caught_up(cluster, full)
        check(cluster, ledger)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_where_no_majority_has_room_writes_are_refused_and_reads_go_on(tmp_path: Path) -> None:
    ledger = Ledger()
    with disks_and_cluster(tmp_path) as (disks, cluster):
        with Clients(cluster, ledger):
            ledger.wait_for(100)
        for full in cluster.nodes[:2]:
            disks[full.name].fill(leave=SHORT)
        for node in cluster.nodes:
            wait_until(
                node,
                f"writes through {node.name} are refused",
                partial(is_refused, node),
            )
        check(cluster, ledger)
        errors: list[psycopg.Error] = []

        def is_told_why() -> bool:
            error = refusal(cluster.nodes[2])
            if error is not None:
                errors.append(error)
            return error is not None

        wait_until(cluster.nodes[2], "it says why", is_told_why)
        [error] = errors
        assert 'could not extend table "counter"' in str(error)
        assert error.diag.message_detail is not None
        assert "n1" in error.diag.message_detail
        assert error.diag.message_hint is not None
        # A leader that restarts finds its disk full, and reads go on.
        victim = leader_of(cluster, ROWS_GROUP)
        victim.kill()
        leader_of(cluster, ROWS_GROUP, without=[victim])
        victim.start()
        victim.wait_ready()
        check(cluster, ledger)
        for full in cluster.nodes[:2]:
            disks[full.name].empty()
        for node in cluster.nodes:
            wait_until(
                node,
                f"{node.name} takes writes",
                partial(takes_writes, node),
            )
        with Clients(cluster, ledger, tolerated=TOLERATED):
            ledger.wait_for(100, through=cluster.nodes)
        check(cluster, ledger)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_disk_full_to_the_last_block_ends_its_node_until_there_is_room(tmp_path: Path) -> None:
    ledger = Ledger()
    with disks_and_cluster(tmp_path) as (disks, cluster):
        leader = leader_of(cluster, ROWS_GROUP)
        full = next(node for node in cluster.nodes if node is not leader)
        others = [node for node in cluster.nodes if node is not full]
        disk = disks[full.name]
        with Clients(cluster, ledger, tolerated=TOLERATED):
            ledger.wait_for(100)
            disk.fill(leave=0)
            assert full.wait_stopped(END_S) == EXIT_CODE, full.log_tail()
            ledger.wait_for(200, through=others)
            # What it has written since is its own to give back: the disk is filled again.
            disk.fill(leave=0)
            full.start()
            assert full.wait_stopped(END_S) == EXIT_CODE, full.log_tail()
            assert "Traceback" not in full.log.read_text()
            disk.empty()
            disk.fill(leave=ALMOST_NOTHING)
            full.start()
            full.wait_ready()
            wait_for_state(cluster, full, "degraded")
            ledger.wait_for(100, through=cluster.nodes)
            disk.empty()
            wait_for_state(cluster, full, "running")
            ledger.wait_for(100, through=cluster.nodes)
        wait_ready(full)
        wait_caught_up(cluster, full)
        check(cluster, ledger)
