"""Flipped bits under real nodes: damage is named, with file and place, and never read as a row.

A drawn sample of places, each with a node of its own: it must refuse to start (exit 6), or answer
right, or answer `XX001`. Every byte is flipped in one process by
`rust_core/reactor/tests/it/statements/damage.rs`. `PHANTOM_SEED` draws other places,
`PHANTOM_FLIPS` more of them.
"""

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster, session, wait_caught_up, wait_until
from kit.steady import settled

from phantomdb.client.processes import Cluster, NodeFailed, NodeProcess
from phantomdb.demo.sessions import Connection
from phantomdb.node.world import RealWorld

#: So little that two megabytes of rows fill a memtable.
MEMORY_BYTES = 16 << 20
SEED = int(os.environ.get("PHANTOM_SEED", "1"))
#: How many places of each kind of file are tried.
FLIPS = int(os.environ.get("PHANTOM_FLIPS", "12"))
DAMAGED = "XX001"
EXIT_DAMAGED = 6
SMALL_ROWS = 40
#: Rows that fill a memtable and are next to nothing in a table: they compress.
WIDE_ROWS = 32
WIDE_CHARACTERS = 60_000
SMALL = "SELECT k, v FROM small ORDER BY k"
WIDE = "SELECT count(*), sum(length(v)), min(v) = max(v) FROM wide"

Rows = list[tuple[Any, ...]]


def right_answers() -> dict[str, Rows]:
    wide = (WIDE_ROWS, WIDE_ROWS * WIDE_CHARACTERS, True)
    return {SMALL: [(k, f"value {k} " * 9) for k in range(SMALL_ROWS)], WIDE: [wide]}


def fill(db: Connection) -> None:
    """Write what `right_answers` says; `wide` comes last and pushes all before it into tables."""
    for name in ("small", "wide"):
        sql = f"CREATE TABLE IF NOT EXISTS {name} (k int4 PRIMARY KEY, v text)"
        settled(partial(db.execute, sql))
    for row in right_answers()[SMALL]:
        insert(db, "small", row)
    for k in range(WIDE_ROWS):
        insert(db, "wide", (k, "w" * WIDE_CHARACTERS))


def insert(db: Connection, table: str, row: tuple[Any, ...]) -> None:
    sql = f"INSERT INTO {table} VALUES ($1, $2) ON CONFLICT DO NOTHING"
    settled(lambda: db.execute(sql, row))


def tables(node: NodeProcess) -> list[Path]:
    """Return a node's table files that are not small beside the rows in them, largest first."""
    found = (node.directory / "tables").glob("*.tbl")
    return sorted(found, key=lambda path: path.stat().st_size, reverse=True)


def wait_flushed(node: NodeProcess) -> None:
    # An index block and a footer take less than this: it is rows.
    wait_until(
        node,
        f"{node.name} has rows in a table",
        lambda: any(path.stat().st_size > 1_000 for path in tables(node)),
    )


def flip(path: Path, offset: int, bit: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        [byte] = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


def names(text: str, path: Path) -> bool:
    """Whether a text says which file is damaged, and where."""
    return re.search(rf"{re.escape(path.name)} is damaged at byte \d+", text) is not None


@dataclass
class Patient:
    """A stopped node whose directory is taken from a healthy copy for each trial."""

    node: NodeProcess
    healthy: Path

    def heal(self) -> None:
        shutil.rmtree(self.node.directory)
        shutil.copytree(self.healthy, self.node.directory)
        self.node.log.unlink(missing_ok=True)

    def outcome(self, damaged: Path) -> str:
        """Start the node and ask it; returns how it dealt with the damage."""
        node = self.node
        node.start()
        try:
            node.wait_ready()
            with session(node) as db:
                return ask(db, damaged)
        except (NodeFailed, psycopg.OperationalError):
            # It ended by itself, before it was ready or under the question.
            assert node.wait_stopped() == EXIT_DAMAGED, node.log_tail()
            assert names(node.log_tail(), damaged), node.log_tail()
            return "refused"
        finally:
            node.stop()


def ask(db: Connection, damaged: Path) -> str:
    """Ask for all rows: right, or named damage. Returns which."""
    outcome = "right"
    for question, right in right_answers().items():
        try:
            rows = settled(lambda question=question: db.execute(question).fetchall())
        except psycopg.Error as error:
            if error.sqlstate != DAMAGED or not names(str(error), damaged):
                raise
            outcome = DAMAGED
        else:
            assert rows == right, question
    return outcome


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Patient]:
    """Give a node with rows in a table and a sealed segment of the log, stopped."""
    world = RealWorld.make()
    with Cluster(
        tmp_path, nodes=1, clock=world.clock, random=world.random, memory_bytes=MEMORY_BYTES
    ) as cluster:
        node = cluster.nodes[0]
        with session(node) as db:
            fill(db)
        wait_flushed(node)
        # Each life begins a segment, and so seals the one before.
        for _ in range(2):
            assert node.stop() == 0
            node.start()
            node.wait_ready()
        assert node.stop() == 0
        healthy = tmp_path / "healthy"
        shutil.copytree(node.directory, healthy)
        yield Patient(node, healthy)


def largest_table(patient: Patient) -> Path:
    return tables(patient.node)[0]


def sealed_segment(patient: Patient) -> Path:
    return min((patient.node.directory / "log").glob("*.log"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("choose", [largest_table, sealed_segment])
def test_a_flipped_bit_is_named_and_never_read(
    patient: Patient, choose: Callable[[Patient], Path]
) -> None:
    draw = random.Random(SEED)
    assert patient.outcome(choose(patient)) == "right", "the healthy node"
    outcomes: Counter[str] = Counter()
    for _ in range(FLIPS):
        patient.heal()
        path = choose(patient)
        offset, bit = draw.randrange(path.stat().st_size), draw.randrange(8)
        flip(path, offset, bit)
        outcomes[patient.outcome(path)] += 1
    # All bytes of both are covered by a checksum: nothing is right by luck.
    assert outcomes["right"] == 0
    if choose is sealed_segment:
        assert outcomes["refused"] == FLIPS
    elif FLIPS > 1:
        assert outcomes[DAMAGED] > 0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_damaged_table_of_one_node_is_nobody_elses_damage(tmp_path: Path) -> None:
    with running_cluster(tmp_path, memory_bytes=MEMORY_BYTES) as cluster:
        with session(cluster.nodes[0]) as db:
            fill(db)
        for node in cluster.nodes:
            wait_flushed(node)
        leader = leader_of(cluster, ROWS_GROUP)
        sick = next(node for node in cluster.nodes if node is not leader)
        assert sick.stop() == 0
        path = tables(sick)[0]
        # Past the catalog, which a node reads as it starts, and before index and footer.
        flip(path, path.stat().st_size // 2, 3)
        sick.start()
        sick.wait_ready()
        wait_caught_up(cluster, sick)
        for number, node in enumerate(cluster.nodes):
            with session(node) as db:
                outcome = ask(db, path)
                # Rows are read at their leader, whoever is asked.
                led_by_sick = leader_of(cluster, ROWS_GROUP) is sick
                assert outcome == "right" or led_by_sick, node.name
                insert(db, "small", (1_000 + number, "more"))
                delete = "DELETE FROM small WHERE k = $1"
                settled(partial(db.execute, delete, (1_000 + number,)))
