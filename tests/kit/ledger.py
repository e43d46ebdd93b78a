"""Clients that write, read back and keep books while processes are in trouble.

    ledger = Ledger()
    prepare(cluster)
    with Clients(cluster, ledger):
        ledger.wait_for(100)
        victim.kill()
        ledger.wait_for(100, through=others)
    check(cluster, ledger)

Two writers per node insert numbered rows and add to one counter; a reader per node looks for the
row that was acknowledged last, wherever it was written: it must be there. Afterwards `check` finds
every acknowledged row once, through every node, and the counter neither below what was
acknowledged nor above what was tried.

A test lets trouble come when enough was acknowledged since the last, never after a fixed time.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, Self

import psycopg
from kit.cluster import session
from kit.steady import LEADER_CHANGED, settled

from phantomdb.client.processes import Cluster, NodeProcess

WRITERS_A_NODE = 2
#: How long writers may take to get so many acknowledgements.
PATIENCE_S = 60.0
#: Between two tries of a client whose node is in trouble, in seconds.
TRY_AGAIN_S = 0.02
#: What trouble may answer: no leader, a lost one, an ending node. Without a code the link is gone.
TRANSIENT = LEADER_CHANGED | {None, "57P01", "57P02"}


@dataclass
class Ledger:
    """What writers have tried and what they were told."""

    tried: int = 0
    acknowledged: set[int] = field(default_factory=set)
    additions_tried: int = 0
    additions_acknowledged: int = 0
    newest: int = 0
    by_node: Counter[str] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def next_row(self) -> int:
        with self.changed:
            self.tried += 1
            return self.tried

    def row_acknowledged(self, row: int, node: NodeProcess) -> None:
        with self.changed:
            self.acknowledged.add(row)
            self.newest = row
            self.by_node[node.name] += 1
            self.changed.notify_all()

    def try_addition(self) -> None:
        with self.changed:
            self.additions_tried += 1

    def addition_acknowledged(self) -> None:
        with self.changed:
            self.additions_acknowledged += 1

    def wait_for(self, more: int, *, through: Sequence[NodeProcess] = ()) -> None:
        """Wait for so many more acknowledged rows; through each of `through`, if it is given."""
        names = [node.name for node in through]
        with self.changed:
            before, total = dict(self.by_node), len(self.acknowledged)

            def have_come() -> bool:
                if names:
                    return all(self.by_node[n] >= before.get(n, 0) + more for n in names)
                return len(self.acknowledged) >= total + more

            done = self.changed.wait_for(have_come, PATIENCE_S)
            where = f" through each of {names}" if names else ""
            came = {name: n - before.get(name, 0) for name, n in self.by_node.items()}
            assert done, f"not {more} rows were acknowledged{where} in {PATIENCE_S:g} s: {came}"


class _Loop(Protocol):
    def __call__(self, node: NodeProcess, db: psycopg.Connection) -> None: ...


class Clients:
    """Writers and readers through all nodes, while the block runs."""

    def __init__(
        self, cluster: Cluster, ledger: Ledger, *, tolerated: frozenset[str | None] = TRANSIENT
    ) -> None:
        self._ledger = ledger
        self._tolerated = tolerated
        self._stop = threading.Event()
        self._wrong: list[str] = []
        work: list[_Loop] = [self._write] * WRITERS_A_NODE + [self._read]
        self._threads = [
            threading.Thread(target=self._serve, args=(node, loop), daemon=True)
            for node in cluster.nodes
            for loop in work
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if failure is not None:
            return  # What went wrong first is told; clients of a paused node would hide it.
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a client hangs"
        assert not self._wrong, self._wrong[0]

    def _serve(self, node: NodeProcess, loop: _Loop) -> None:
        while not self._stop.is_set():
            try:
                with session(node) as db:
                    loop(node, db)
            except psycopg.Error as error:
                # The node is gone, or the outcome unknown: not acknowledged, perhaps there.
                if error.sqlstate not in self._tolerated:
                    self._wrong.append(f"refused through {node.name}: {error!r}")
                    return
                self._stop.wait(TRY_AGAIN_S)

    def _write(self, node: NodeProcess, db: psycopg.Connection) -> None:
        ledger = self._ledger
        while not self._stop.is_set():
            row = ledger.next_row()
            db.execute("INSERT INTO rows VALUES ($1, $2)", (row, node.name))
            ledger.row_acknowledged(row, node)
            ledger.try_addition()
            db.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
            ledger.addition_acknowledged()

    def _read(self, node: NodeProcess, db: psycopg.Connection) -> None:
        while not self._stop.is_set():
            row = self._ledger.newest
            found = db.execute("SELECT id FROM rows WHERE id = $1", (row,)).fetchone()
            if row and found is None:
                self._wrong.append(f"a read through {node.name} missed row {row}")
                return
            self._stop.wait(TRY_AGAIN_S)


def prepare(cluster: Cluster) -> None:
    """Create what clients write to."""
    with session(cluster.nodes[0]) as db:
        for sql in (
            "CREATE TABLE IF NOT EXISTS rows (id int8 PRIMARY KEY, writer text)",
            "CREATE TABLE IF NOT EXISTS counter (id int4 PRIMARY KEY, n int8)",
            "INSERT INTO counter VALUES (1, 0) ON CONFLICT DO NOTHING",
        ):
            settled(partial(db.execute, sql))


def check(cluster: Cluster, ledger: Ledger) -> None:
    """Hold what every node answers against the books; no client may run."""
    for node in cluster.nodes:
        with session(node) as db:
            rows = settled(lambda db=db: db.execute("SELECT id FROM rows").fetchall())
            counted = settled(
                lambda db=db: db.execute("SELECT n FROM counter WHERE id = 1").fetchone()
            )
        found = {row for (row,) in rows}
        assert len(rows) == len(found), f"rows stand twice, through {node.name}"
        lost = ledger.acknowledged - found
        assert not lost, f"acknowledged rows are lost, through {node.name}: {sorted(lost)[:9]}"
        assert max(found) <= ledger.tried, "a row is there that nobody wrote"
        assert counted is not None
        assert ledger.additions_acknowledged <= counted[0] <= ledger.additions_tried
