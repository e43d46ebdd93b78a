"""Processes are killed and paused under clients; nothing acknowledged is lost, doubled or hidden.

`PHANTOM_KILLS` raises the number of rounds, `PHANTOM_SEED` draws another order.
"""

import os
import random
from functools import partial
from pathlib import Path

import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster, session, wait_ready
from kit.ledger import Clients, Ledger, check, prepare
from kit.steady import settled

from phantomdb.client.processes import NodeProcess

ROUNDS = int(os.environ.get("PHANTOM_KILLS", "5"))
SEED = int(os.environ.get("PHANTOM_SEED", "1"))
#: How long a node is paused, in seconds: several times what an election takes.
PAUSE_S = 10.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_9_of_all_nodes_at_once_loses_nothing_acknowledged(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    ledger = Ledger()
    with running_cluster(tmp_path) as cluster:
        prepare(cluster)
        for _ in range(ROUNDS):
            with Clients(cluster, ledger):
                ledger.wait_for(draw.randint(50, 400))
                for node in cluster.nodes:
                    node.kill()
            for node in cluster.nodes:
                node.start()
            for node in cluster.nodes:
                node.wait_ready()
            check(cluster, ledger)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_9_and_pauses_of_single_nodes_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """Kills and pauses take turns; every other victim of each is the leader of the rows."""
    draw = random.Random(SEED)
    ledger = Ledger()
    with running_cluster(tmp_path) as cluster:
        prepare(cluster)
        for at in range(ROUNDS):
            leader = leader_of(cluster, ROWS_GROUP)
            victim = leader if at // 2 % 2 else draw.choice(cluster.nodes)
            others = [node for node in cluster.nodes if node is not victim]
            with Clients(cluster, ledger):
                ledger.wait_for(draw.randint(50, 200))
                if at % 2:
                    victim.pause()
                    # The others go on, also with what the victim had of their statements.
                    ledger.wait_for(draw.randint(20, 100), through=others)
                    others[0].watch(PAUSE_S)
                    victim.resume()
                    wait_ready(victim)
                    ledger.wait_for(5, through=cluster.nodes)
                else:
                    victim.kill()
                    ledger.wait_for(draw.randint(20, 100), through=others)
                    victim.start()
                    victim.wait_ready()
            check(cluster, ledger)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_paused_leader_never_answers_with_the_past(tmp_path: Path) -> None:
    ledger = Ledger()
    with running_cluster(tmp_path) as cluster:
        prepare(cluster)
        for _ in range(max(1, ROUNDS // 4)):
            paused = leader_of(cluster, ROWS_GROUP)
            others = [node for node in cluster.nodes if node is not paused]
            # A session that was open before the pause, and is used right after it.
            with session(paused) as before, Clients(cluster, ledger):
                ledger.wait_for(50)
                paused.pause()
                leader_of(cluster, ROWS_GROUP, without=[paused])
                row = write_beside(others[0], ledger)
                ledger.wait_for(20, through=others)
                paused.resume()
                one = partial(before.execute, "SELECT writer FROM rows WHERE id = $1", (row,))
                seen = settled(lambda one=one: one().fetchone())
                assert seen == ("beside",), "a read through the paused node missed a row"
                wait_ready(paused)
            check(cluster, ledger)


def write_beside(node: NodeProcess, ledger: Ledger) -> int:
    """Write one row through a node, and return its number."""
    with session(node) as db:
        row = ledger.next_row()
        sql = "INSERT INTO rows VALUES ($1, 'beside') ON CONFLICT DO NOTHING"
        settled(lambda: db.execute(sql, (row,)))
        ledger.row_acknowledged(row, node)
    return row
