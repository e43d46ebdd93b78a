"""Processes are killed and paused under writers; nothing acknowledged is lost, doubled or hidden.

Two writers per node insert numbered rows and add to one counter. Trouble comes when enough was
acknowledged since the last, never after a fixed time. Afterwards every acknowledged row is there
once, through every node, and the counter is neither below what was acknowledged nor above what was
tried. `PHANTOM_KILLS` raises the number of rounds.
"""

import os
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster, session, wait_ready

from phantomdb.demo.processes import Cluster, NodeProcess

ROUNDS = int(os.environ.get("PHANTOM_KILLS", "5"))
SEED = int(os.environ.get("PHANTOM_SEED", "1"))
WRITERS_A_NODE = 2
#: How long writers may take to get so many acknowledgements.
PATIENCE_S = 60.0


@dataclass
class Ledger:
    """What writers have tried and what they were told."""

    tried: int = 0
    acknowledged: set[int] = field(default_factory=set)
    additions_tried: int = 0
    additions_acknowledged: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def next_row(self) -> int:
        with self.changed:
            self.tried += 1
            return self.tried

    def row_acknowledged(self, row: int) -> None:
        with self.changed:
            self.acknowledged.add(row)
            self.changed.notify_all()

    def wait_for(self, more: int) -> None:
        with self.changed:
            wanted = len(self.acknowledged) + more
            done = self.changed.wait_for(lambda: len(self.acknowledged) >= wanted, PATIENCE_S)
            assert done, f"writers got no {more} acknowledgements within {PATIENCE_S:g} s"


#: What trouble may answer: no leader, a lost one, an ending node. Without a code the link is gone.
TRANSIENT = {None, "25006", "40001", "40003", "57P01", "57P02", "57P03"}


class Writers:
    """Writers through all nodes, while the block runs."""

    def __init__(self, cluster: Cluster, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stop = threading.Event()
        self._wrong: list[psycopg.Error] = []
        self._threads = [
            threading.Thread(target=self._write, args=(node,), daemon=True)
            for node in cluster.nodes
            for _ in range(WRITERS_A_NODE)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a writer hangs"
        assert not self._wrong, f"a write was refused: {self._wrong[0]}"

    def _write(self, node: NodeProcess) -> None:
        ledger = self._ledger
        while not self._stop.is_set():
            try:
                with session(node) as db:
                    while not self._stop.is_set():
                        row = ledger.next_row()
                        db.execute("INSERT INTO rows VALUES ($1, $2)", (row, node.name))
                        ledger.row_acknowledged(row)
                        with ledger.changed:
                            ledger.additions_tried += 1
                        db.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
                        with ledger.changed:
                            ledger.additions_acknowledged += 1
            except psycopg.Error as error:
                # The node is gone, or the outcome unknown: not acknowledged, perhaps there.
                if error.sqlstate not in TRANSIENT:
                    self._wrong.append(error)
                    return
                self._stop.wait(0.02)


def prepare(cluster: Cluster) -> None:
    with session(cluster.nodes[0]) as db:
        db.execute("CREATE TABLE rows (id int8 PRIMARY KEY, writer text)")
        db.execute("CREATE TABLE counter (id int4 PRIMARY KEY, n int8)")
        db.execute("INSERT INTO counter VALUES (1, 0)")


def check(cluster: Cluster, ledger: Ledger) -> None:
    for node in cluster.nodes:
        with session(node) as db:
            rows = [row for (row,) in db.execute("SELECT id FROM rows").fetchall()]
            counted = db.execute("SELECT n FROM counter WHERE id = 1").fetchone()
        found = set(rows)
        assert len(rows) == len(found), f"rows stand twice, through {node.name}"
        lost = ledger.acknowledged - found
        assert not lost, f"acknowledged rows are lost, through {node.name}: {sorted(lost)[:9]}"
        assert max(found) <= ledger.tried, "a row is there that nobody wrote"
        assert counted is not None
        assert ledger.additions_acknowledged <= counted[0] <= ledger.additions_tried


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_of_all_nodes_at_once_loses_nothing_acknowledged(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    ledger = Ledger()
    with running_cluster(tmp_path) as cluster:
        prepare(cluster)
        for _ in range(ROUNDS):
            with Writers(cluster, ledger):
                ledger.wait_for(draw.randint(50, 400))
                for node in cluster.nodes:
                    node.kill()
            for node in cluster.nodes:
                node.start()
            for node in cluster.nodes:
                node.wait_ready()
            check(cluster, ledger)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_of_single_nodes_loses_nothing_acknowledged(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    ledger = Ledger()
    with running_cluster(tmp_path) as cluster:
        prepare(cluster)
        for at in range(ROUNDS):
            # Every other time it is the leader of the rows.
            victim = leader_of(cluster, ROWS_GROUP) if at % 2 else draw.choice(cluster.nodes)
            with Writers(cluster, ledger):
                ledger.wait_for(draw.randint(50, 200))
                victim.kill()
                ledger.wait_for(draw.randint(50, 200))
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
            # A session that was open before the pause, and is used right after it.
            with session(paused) as before, Writers(cluster, ledger):
                ledger.wait_for(50)
                paused.pause()
                others = [node for node in cluster.nodes if node is not paused]
                leader_of(cluster, ROWS_GROUP, without=[paused])
                with session(others[0]) as db:
                    row = ledger.next_row()
                    db.execute("INSERT INTO rows VALUES ($1, 'beside')", (row,))
                    ledger.row_acknowledged(row)
                paused.resume()
                seen = before.execute("SELECT writer FROM rows WHERE id = $1", (row,)).fetchone()
                assert seen == ("beside",), "a read through the paused node missed a row"
                wait_ready(paused)
            check(cluster, ledger)
