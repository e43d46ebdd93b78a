"""Many large queries at once: a node's process stays within its bounds, and each is told its end.

Clients sort, group and join rows of 800 bytes, all at the same moment, through one node and through
all; others ask for everything and read nothing. Together they want many times what `--sql-memory`
gives. Each is answered or gets 53200, reads by key through all nodes go on beside them, no process
is ever larger than the sum of what its parts may hold, and when all is over nothing is held and the
system has its memory back.

`PHANTOM_SQL_CLIENTS` and `PHANTOM_SQL_ROWS` scale it: 100 and 200000 are a hundred sorts of 160 MB
in half a gibibyte.
"""

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster, session, wait_until
from kit.frontend import Frontend, query
from kit.gauges import MIB, metric, resident_mib
from kit.steady import settled

from phantomdb.client.processes import Cluster, NodeProcess
from phantomdb.demo.sessions import Connection

CLIENTS = int(os.environ.get("PHANTOM_SQL_CLIENTS", "24"))
ROWS = int(os.environ.get("PHANTOM_SQL_ROWS", "50000"))
ROW_BYTES = 800
#: What one sort holds, and the account for all: three of them fit at once. The others hold more.
SORT_BYTES = ROWS * (ROW_BYTES + 16)
SQL_BYTES = max(64 * MIB, 512 * MIB * ROWS // 200_000)
ENGINE_BYTES = 128 * MIB
#: Beside both: twice the engine's while it flushes, Python, the workers' batches, links, sessions.
BESIDE_MIB = 512
RESIDENT_MIB_MAX = (SQL_BYTES + 2 * ENGINE_BYTES) // MIB + BESIDE_MIB
#: When nothing runs any more.
AT_REST_MIB_MAX = 2 * ENGINE_BYTES // MIB + 160
#: Rows of one INSERT: less than 4 MiB, the bound of an entry.
BATCH_ROWS = 2_000
#: Clients that ask for everything and read nothing, at each node.
SILENT = 4
#: How long one statement over all rows may take.
STATEMENT_S = 400

SORT = f"SELECT k, v FROM wide ORDER BY v OFFSET {ROWS - 1}"
GROUPS = f"SELECT v, count(*), max(k) FROM wide GROUP BY v ORDER BY 2, 3 OFFSET {ROWS - 1}"
JOIN = "SELECT count(*), max(a.k), max(b.v) FROM wide a JOIN wide b ON a.v = b.v"
POINT = "SELECT k, v FROM wide WHERE k = $1"


def value(key: int) -> str:
    """Return the text of a row, no other row's."""
    return random.Random(key).randbytes(ROW_BYTES // 2).hex()


def load(db: Connection) -> None:
    settled(lambda: db.execute("CREATE TABLE IF NOT EXISTS wide (k int4 PRIMARY KEY, v text)"))
    for first in range(0, ROWS, BATCH_ROWS):
        keys = range(first, min(first + BATCH_ROWS, ROWS))
        places = ", ".join(f"(${2 * n + 1}, ${2 * n + 2})" for n in range(len(keys)))
        values = [part for key in keys for part in (key, value(key))]
        sql = f"INSERT INTO wide VALUES {places} ON CONFLICT DO NOTHING"
        settled(partial(db.execute, sql, values))


@dataclass
class Told:
    """What clients were told; shared by their threads."""

    answered: int = 0
    refused: int = 0
    #: Reads by key, and the longest of them in seconds.
    reads: int = 0
    longest_s: float = 0.0
    wrong: list[BaseException] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep what goes wrong in a thread for the one that waits."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            with self.guard:
                self.wrong.append(error)


def ask(node: NodeProcess, text: str, begin: threading.Barrier, told: Told) -> None:
    """Ask one large question when all others do; count what becomes of it."""
    with told.watched(), session(node, statement_timeout_s=STATEMENT_S) as db:
        begin.wait()
        try:
            rows = settled(lambda: db.execute(text).fetchall())
        except psycopg.errors.OutOfMemory:
            with told.guard:
                told.refused += 1
        else:
            assert len(rows) == 1
            with told.guard:
                told.answered += 1


def read_by_key(node: NodeProcess, until: threading.Event, told: Told) -> None:
    """Read one row after the other while the others ask."""
    draw = random.Random(node.name)
    with told.watched(), session(node, statement_timeout_s=STATEMENT_S) as db:
        while not until.is_set():
            key = draw.randrange(ROWS)
            start = time.perf_counter()
            row = settled(partial(read_one, db, key))
            took = time.perf_counter() - start
            assert row == (key, value(key)), f"row {key} through {node.name}"
            with told.guard:
                told.reads += 1
                told.longest_s = max(told.longest_s, took)


def read_one(db: Connection, key: int) -> tuple[object, ...] | None:
    return db.execute(POINT, (key,)).fetchone()


@contextmanager
def silent_clients(nodes: Sequence[NodeProcess]) -> Iterator[None]:
    """Have clients that ask for everything and read the first of it alone."""
    with ExitStack() as stack:
        for node in [node for node in nodes for _ in range(SILENT)]:
            frontend = stack.enter_context(Frontend.connect(node.pg.port))
            frontend.send(query("SELECT k, v FROM wide"))
            frontend.receive()
        yield


def ask_all_at_once(cluster: Cluster, gateways: Sequence[NodeProcess]) -> Told:
    """Let all clients ask at the same moment, through `gateways` by turns."""
    told, until, begin = Told(), threading.Event(), threading.Barrier(CLIENTS)
    texts = (SORT, GROUPS, JOIN)
    clients = [
        threading.Thread(
            target=ask, args=(gateways[n % len(gateways)], texts[n // 3 % 3], begin, told)
        )
        for n in range(CLIENTS)
    ]
    readers = [
        threading.Thread(target=read_by_key, args=(node, until, told)) for node in cluster.nodes
    ]
    for thread in clients + readers:
        thread.start()
    for thread in clients:
        thread.join()
    until.set()
    for thread in readers:
        thread.join()
    if told.wrong:
        raise told.wrong[0]
    return told


def assert_bounded(cluster: Cluster, told: Told, what: str) -> None:
    resident = {node.name: resident_mib(node)[1] for node in cluster.nodes}
    print(f"{what}: {resident} MiB of {RESIDENT_MIB_MAX}, {told}")  # noqa: T201 - for people
    assert told.answered + told.refused == CLIENTS
    assert told.reads > len(cluster.nodes), "reads by key were answered beside them"
    assert max(resident.values()) <= RESIDENT_MIB_MAX, f"{resident} after {what}"


def wait_until_nothing_is_held(cluster: Cluster) -> None:
    for node in cluster.nodes:
        wait_until(
            node,
            f"statements of {node.name} hold nothing",
            lambda node=node: metric(node, "phantomdb_sql_memory_bytes") == 0,
        )
        wait_until(
            node,
            f"{node.name} takes at most {AT_REST_MIB_MAX} MiB at rest",
            lambda node=node: resident_mib(node)[0] <= AT_REST_MIB_MAX,
        )
        print(f"{node.name} at rest: {resident_mib(node)[0]} MiB")  # noqa: T201 - for people


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_clients_that_want_many_times_the_memory_are_answered_or_refused_and_no_node_grows(
    tmp_path: Path,
) -> None:
    with running_cluster(
        tmp_path, memory_bytes=ENGINE_BYTES, sql_memory_bytes=SQL_BYTES
    ) as cluster:
        with session(cluster.nodes[0], statement_timeout_s=STATEMENT_S) as db:
            load(db)
        leader = leader_of(cluster, ROWS_GROUP)
        follower = next(node for node in cluster.nodes if node is not leader)

        for gateway in (leader, follower):
            told = ask_all_at_once(cluster, [gateway])
            assert_bounded(cluster, told, f"all through {gateway.name}")
        with silent_clients(cluster.nodes):
            told = ask_all_at_once(cluster, cluster.nodes)
            assert_bounded(cluster, told, "all through all, beside clients that read nothing")
        assert CLIENTS * SORT_BYTES < 4 * SQL_BYTES or told.refused, "nobody wanted too much"
        wait_until_nothing_is_held(cluster)
        # Whoever is refused frees room for the others, but nobody is promised any: now there is.
        for node in cluster.nodes:
            with session(node, statement_timeout_s=STATEMENT_S) as db:
                assert len(settled(lambda db=db: db.execute(SORT).fetchall())) == 1
        wait_until_nothing_is_held(cluster)
