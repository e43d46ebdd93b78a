"""Rows of several times a node's memory: the process stays small, and so does what a start replays.

Three nodes with 64 MiB for their engine take 200 MiB of rows, in statements of 8 KiB to 3 MiB, are
stopped, killed and read from end to end. Nothing here may make a process larger than 400 MiB: that
is the engine's memory, twice, beside Python and what statements in flight hold. The log is given
back as tables take over, so that it is short whatever went through it.

`PHANTOM_LOAD_MIB` scales the load.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from kit.cluster import running_cluster, session, wait_caught_up, wait_until
from kit.frontend import Frontend, query
from kit.gauges import MIB, folder_bytes, metric, resident_mib
from kit.steady import settled

from phantomdb.client.processes import Cluster, NodeProcess
from phantomdb.demo.sessions import Connection

LOAD_MIB = int(os.environ.get("PHANTOM_LOAD_MIB", "200"))
SEED = int(os.environ.get("PHANTOM_SEED", "1"))
ENGINE_BYTES = 64 * MIB
RESIDENT_MIB_MAX = 400
#: The log of a node at rest, and what its start may apply of it.
LOG_BYTES_MAX = 64 * MIB
REPLAYED_BYTES_MAX = 64 * MIB
ROW_BYTES = 8 << 10
ROWS = LOAD_MIB * MIB // ROW_BYTES
#: Rows of one INSERT: less than 4 MiB, the bound of an entry.
BATCH_ROWS_MAX = 384
WRITERS_A_NODE = 2
#: How often every row of a tenth of them is changed.
CHANGES = 4
#: Rows of one UPDATE.
CHANGED_ROWS = 256
#: How long one statement over all rows may take.
STATEMENT_S = 120


def value(key: int, version: int = 0) -> str:
    """Return the text of a row, which nobody can compress to less than a half."""
    return random.Random(key * 1_000 + version).randbytes(ROW_BYTES // 2).hex()


def batches(draw: random.Random) -> Iterator[range]:
    """Yield the keys of one INSERT after the other."""
    first = 0
    while first < ROWS:
        size = min(draw.choice([1, 16, 128, BATCH_ROWS_MAX]), ROWS - first)
        yield range(first, first + size)
        first += size


def insert(db: Connection, keys: range) -> None:
    """Insert rows in one statement, until they are known to be there."""
    places = ", ".join(f"(${2 * n + 1}, ${2 * n + 2})" for n in range(len(keys)))
    values = [part for key in keys for part in (key, value(key))]
    sql = f"INSERT INTO rows VALUES {places} ON CONFLICT DO NOTHING"
    settled(lambda: db.execute(sql, values))


def create(db: Connection, name: str) -> None:
    sql = f"CREATE TABLE IF NOT EXISTS {name} (k int4 PRIMARY KEY, v text NOT NULL)"
    settled(lambda: db.execute(sql))


def load(cluster: Cluster) -> None:
    """Insert all rows, through all nodes at once."""
    waiting = batches(random.Random(SEED))
    taking = threading.Lock()
    wrong: list[BaseException] = []

    def write(node: NodeProcess) -> None:
        try:
            with session(node, statement_timeout_s=STATEMENT_S) as db:
                while not wrong:
                    with taking:
                        keys = next(waiting, None)
                    if keys is None:
                        return
                    insert(db, keys)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            wrong.append(error)

    writers = [
        threading.Thread(target=write, args=(node,), daemon=True)
        for node in cluster.nodes
        for _ in range(WRITERS_A_NODE)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if wrong:
        raise wrong[0]


@contextmanager
def loaded_cluster(directory: Path) -> Iterator[Cluster]:
    """Run three small nodes that hold the rows."""
    with running_cluster(directory, memory_bytes=ENGINE_BYTES) as cluster:
        with session(cluster.nodes[0]) as db:
            create(db, "rows")
        load(cluster)
        with session(cluster.nodes[0]) as db:
            # So that memory holds something, though the last row may have filled a memtable.
            create(db, "afterwards")
        for node in cluster.nodes:
            wait_caught_up(cluster, node, seconds=STATEMENT_S)
        yield cluster


def assert_small(cluster: Cluster, after: str) -> None:
    """Check that no process was ever larger than it may be."""
    for node in cluster.nodes:
        _, most = resident_mib(node)
        assert most < RESIDENT_MIB_MAX, f"{node.name} took {most} MiB after {after}"


def wait_for_a_short_log(cluster: Cluster) -> None:
    """Wait until tables have taken over what the logs held."""
    for node in cluster.nodes:
        log = node.directory / "log"
        wait_until(
            node,
            f"the log of {node.name} is at most {LOG_BYTES_MAX // MIB} MiB",
            lambda log=log: folder_bytes(log) <= LOG_BYTES_MAX,
            seconds=STATEMENT_S,
        )


def start_again(cluster: Cluster) -> None:
    """Start all nodes and check how much of the log that took."""
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        node.wait_ready()
    for node in cluster.nodes:
        replayed = metric(node, "phantomdb_replayed_bytes")
        assert 0 < replayed < REPLAYED_BYTES_MAX, f"{node.name} applied {replayed:,} bytes of log"
    for node in cluster.nodes:
        wait_caught_up(cluster, node, seconds=STATEMENT_S)


def check_rows(node: NodeProcess, *, rows: int = ROWS, text: Callable[[int], str] = value) -> None:
    """Check that all rows are there, by their sums and by some of them."""
    draw = random.Random(SEED)
    with session(node, statement_timeout_s=STATEMENT_S) as db:
        sums = "SELECT count(*), sum(length(v)), min(k), max(k) FROM rows"
        found = settled(lambda: db.execute(sums).fetchone())
        assert found == (rows, rows * ROW_BYTES, 0, rows - 1)
        for key in draw.sample(range(rows), 50):
            one = partial(db.execute, "SELECT v FROM rows WHERE k = $1", (key,))
            row = settled(lambda one=one: one().fetchone())
            assert row == (text(key),), f"row {key} through {node.name}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_of_three_times_the_memory_leave_a_small_process_and_a_short_log(
    tmp_path: Path,
) -> None:
    with loaded_cluster(tmp_path) as cluster:
        assert_small(cluster, "the load")
        wait_for_a_short_log(cluster)

        for node in cluster.nodes:
            assert node.stop() == 0
        start_again(cluster)
        check_rows(cluster.nodes[0])
        assert_small(cluster, "a stop and a start")

        for node in cluster.nodes:
            node.kill()
        start_again(cluster)
        check_rows(cluster.nodes[1])
        assert_small(cluster, "a kill and a start")

        for node in cluster.nodes:
            settled(partial(read_everything, node))
        assert_small(cluster, "reads of everything")
        for node in cluster.nodes:
            leave_a_result_unread(node)
        assert_small(cluster, "clients that did not read")
        too_much = pytest.raises(psycopg.errors.ProgramLimitExceeded, match="can write at most")
        with session(cluster.nodes[0], statement_timeout_s=STATEMENT_S) as db, too_much:
            settled(lambda: db.execute("UPDATE rows SET v = v || 'x'"))
        assert_small(cluster, "a write of everything")


def leave_a_result_unread(node: NodeProcess) -> None:
    """Ask for everything, read the first of it alone, and go once others have read it all."""
    with Frontend.connect(node.pg.port) as frontend:
        frontend.send(query("SELECT k, v FROM rows"))
        assert frontend.receive()[0] == "T"
        # Whatever the node sends without being read, it has sent when this is over.
        check_rows(node)


def read_everything(node: NodeProcess) -> None:
    """Read all rows to the client, and the first ones of an order that no key has."""
    with session(node, statement_timeout_s=STATEMENT_S) as db, db.cursor() as cursor:
        seen = 0
        for key, text in cursor.stream("SELECT k, v FROM rows", size=64):
            assert key == seen, "rows come in the order of their key"
            assert key % 100 or text == value(key)
            seen += 1
        assert seen == ROWS
        cursor.execute("SELECT k, v FROM rows ORDER BY v DESC LIMIT 10")
        first = cursor.fetchall()
        assert [text for _, text in first] == sorted((text for _, text in first), reverse=True)
        assert all(text == value(key) for key, text in first)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_changes_of_every_row_leave_a_small_process_and_a_short_log(tmp_path: Path) -> None:
    """Nothing collects old versions yet: tables grow by each, memory and log do not."""
    with running_cluster(tmp_path, memory_bytes=ENGINE_BYTES) as cluster:
        rows = ROWS // 10
        with session(cluster.nodes[0], statement_timeout_s=STATEMENT_S) as db:
            create(db, "rows")
            for version in range(CHANGES + 1):
                for first in range(0, rows, CHANGED_ROWS):
                    change(db, first, min(first + CHANGED_ROWS, rows) - 1, version)
        assert_small(cluster, "the changes")
        wait_for_a_short_log(cluster)
        for node in cluster.nodes:
            node.kill()
        start_again(cluster)
        for node in cluster.nodes:
            check_rows(node, rows=rows, text=lambda key: value(key - key % CHANGED_ROWS, CHANGES))
            held = metric(node, "phantomdb_table_bytes") + metric(node, "phantomdb_memtable_bytes")
            every_version = rows * ROW_BYTES * (CHANGES + 1)
            assert held < 1.5 * every_version, f"{held:,} bytes for {every_version:,} of versions"
        assert_small(cluster, "a kill and reads of the newest")


def change(db: Connection, first: int, last: int, version: int) -> None:
    """Write rows, or a new text into each of them, the same in all."""
    if version == 0:
        insert(db, range(first, last + 1))
        return
    text = value(first, version)
    sql = "UPDATE rows SET v = $1 WHERE k BETWEEN $2 AND $3"
    settled(lambda: db.execute(sql, (text, first, last)))
