"""Loads the tables: INSERTs of 1,000 rows, through the nodes in turn.

Each batch goes to the oracle first, which notices a key that comes twice. An INSERT that the
cluster refuses for a while is tried again. One whose outcome is unknown is tried again too: an
INSERT is done as a whole or not at all, so a duplicate key then says that the first try was.
"""

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import psycopg

from phantomdb.base.errors import PhantomError
from phantomdb.base.world import Clock
from phantomdb.client.processes import Cluster, Deadline, NodeProcess
from phantomdb.demo import flights
from phantomdb.demo.check import Checks
from phantomdb.demo.flights import Row, Table
from phantomdb.demo.oracle import Oracle
from phantomdb.demo.output import Output
from phantomdb.demo.sessions import Connection, Outcome, connect, explain, outcome

#: Rows of one INSERT.
BATCH_ROWS = 1_000
#: How long one batch is tried for; an election takes a second or two.
BATCH_S = 30.0
#: Between two tries, in seconds.
AGAIN_S = 0.05

#: Lets time pass; raises `NodeFailed` if a node has ended that should run.
Watch = Callable[[float], None]


class LoadFailed(PhantomError):
    """A table or its rows could not be written."""


class Loader:
    """Writes tables through all nodes of a cluster."""

    def __init__(self, cluster: Cluster, output: Output, clock: Clock) -> None:
        self._cluster = cluster
        self._output = output
        self._clock = clock

    def load(self, folder: Path, oracle: Oracle, checks: Checks, *, rows_max: int | None) -> None:
        """Create and fill all tables, here and in the oracle, and compare the counts."""
        lines = []
        for table in flights.TABLES:
            seconds = self._load_table(table, folder, oracle, rows_max)
            rows = oracle.count(table)
            lines.append((table.name, rows, f"{seconds:.1f}", round(rows / max(seconds, 1e-3))))
        self._output.table(("table", "rows", "seconds", "rows/s"), lines)
        wanted = [oracle.count(table) for table in flights.TABLES]
        name = "every node counts the rows that were loaded"
        compare_counts(name, self._cluster.nodes, wanted, checks)

    def _load_table(
        self, table: Table, folder: Path, oracle: Oracle, rows_max: int | None
    ) -> float:
        start_ns = self._clock.monotonic_ns()
        total = table.rows if rows_max is None else min(table.rows, rows_max)
        size = table.batch_rows(BATCH_ROWS)
        oracle.create(table)
        with connect(self._cluster.nodes[0].pg) as first:
            try:
                first.execute(table.create())
            except psycopg.Error as error:
                raise LoadFailed(f"CREATE TABLE {table.name}: {explain(error)}") from error
        watch = self._cluster.watch
        writers = [BatchWriter(node, table, watch, self._clock) for node in self._cluster.nodes]
        turns = cycle(writers)
        try:
            with self._output.progress(table.name, total) as advance:
                for batch in flights.batches(table, folder, batch_rows=size, rows_max=rows_max):
                    oracle.insert(table, batch)
                    next(turns).write(batch)
                    advance(len(batch))
        finally:
            for writer in writers:
                writer.close()
        return (self._clock.monotonic_ns() - start_ns) / 1e9


class BatchWriter:
    """Writes batches of one table through one node, over a connection that it renews."""

    def __init__(self, node: NodeProcess, table: Table, watch: Watch, clock: Clock) -> None:
        self._node = node
        self._table = table
        self._watch = watch
        self._clock = clock
        self._connection: Connection | None = None
        self._insert = (0, "")

    def write(self, batch: Sequence[Row]) -> None:
        """Insert a batch, exactly once; raises `LoadFailed`, `NodeFailed`."""
        if self._insert[0] != len(batch):
            self._insert = (len(batch), self._table.insert(len(batch)))
        values = [value for row in batch for value in row]
        deadline = Deadline(self._clock, BATCH_S)
        maybe_done = False
        while True:
            try:
                if self._connection is None:
                    self._connection = connect(self._node.pg)
                # Prepared: the text of 1,000 rows is parsed once a connection.
                self._connection.execute(self._insert[1], values, prepare=True)
            except psycopg.errors.UniqueViolation as error:
                if not maybe_done:
                    raise self._failed(error) from error
                return
            except psycopg.Error as error:
                result = outcome(error, self._connection)
                if result is Outcome.REFUSED or not deadline.left_s:
                    raise self._failed(error) from error
                maybe_done |= result is Outcome.UNKNOWN
                if self._connection is not None and self._connection.closed:
                    self.close()
                self._watch(AGAIN_S)
            else:
                return

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _failed(self, error: psycopg.Error) -> LoadFailed:
        return LoadFailed(f"INSERT INTO {self._table.name} on {self._node.name}: {explain(error)}")


def compare_counts(
    name: str, nodes: Sequence[NodeProcess], wanted: Sequence[int], checks: Checks
) -> None:
    """Count the rows of all tables through each node."""
    wrong = []
    for node in nodes:
        with connect(node.pg) as connection:
            for table, rows in zip(flights.TABLES, wanted, strict=True):
                [(count,)] = connection.execute(table.count()).fetchall()
                if count != rows:
                    wrong.append(f"{node.name}: {count:,} of {rows:,} {table.name}")
    checks.add(name, holds=not wrong, detail="; ".join(wrong) or f"{sum(wanted):,} rows")
