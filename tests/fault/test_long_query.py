"""A long query beside others: nobody waits for it, and no leadership is lost over it.

Joins of the flights with a condition that no key helps, which never end by themselves, run through
the leader of the rows and through a follower. Beside them sessions of all nodes read, change and
insert single rows and come and go, one statement after the other, until the joins are ended by
statement_timeout. No statement beside may take over a second: a fragment runs in steps of 8,192
rows and stands in line again after each.

`PHANTOM_JOIN_S` says for how long the joins run, `PHANTOM_FLIGHTS` how many flights there are.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, SYSTEM_GROUP, leader_of, running_cluster, session, wait_until
from kit.frontend import Frontend, query
from kit.gauges import metric
from kit.steady import settled

from phantomdb.client import view
from phantomdb.client.processes import Cluster, NodeProcess
from phantomdb.demo import flights

JOIN_S = int(os.environ.get("PHANTOM_JOIN_S", "8"))
FLIGHTS = int(os.environ.get("PHANTOM_FLIGHTS", "60000"))
#: How long a statement beside a long one may take.
WAIT_S_MAX = 1.0
#: Rows of an INSERT of the load.
BATCH_ROWS = 1_000
POINTS = 1_000
#: How long a statement over all flights may take.
STATEMENT_S = 120
LOOK_S = 10.0
#: Keys of new points, never the same twice.
NEW_KEYS = itertools.count(POINTS)

#: Pairs that meet at a place, hundreds of millions of them, each with texts to put together.
JOIN = """
    SELECT count(*) FROM flights a JOIN flights b ON a.dest = b.dest
    WHERE a.tailnum || b.tailnum || a.origin LIKE '%N1%N2%N3%N4%'
"""
RANGE = "SELECT count(*), sum(n) FROM points WHERE k BETWEEN $1 AND $2"
EVERYTHING = "SELECT * FROM flights"
GROUPS = """
    SELECT tailnum, dest, count(*), avg(arr_delay), sum(distance) FROM flights
    GROUP BY tailnum, dest ORDER BY 4 DESC, 1, 2
"""
ORDER = "SELECT * FROM flights ORDER BY arr_delay DESC, tailnum, dep_time"


@dataclass
class Waits:
    """How long each statement took, by its kind."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        took = time.perf_counter() - start
        with self.guard:
            self.taken.setdefault(kind, []).append(took)

    def check(self) -> None:
        """Check that all kinds were tried through all nodes and that none waited too long."""
        told = {
            kind: f"{len(all_)} x, at most {max(all_):.3f} s" for kind, all_ in self.taken.items()
        }
        print(f"beside it: {told}")  # noqa: T201 - shown when the test fails
        longest = max(max(all_) for all_ in self.taken.values())
        assert longest <= WAIT_S_MAX, told


class Beside:
    """Sessions of all nodes that work while the block runs."""

    def __init__(self, cluster: Cluster) -> None:
        self.waits = Waits()
        self._stop = threading.Event()
        self._wrong: list[BaseException] = []
        workers: list[tuple[Callable[[NodeProcess, int], None], NodeProcess]] = [
            (work, node) for node in cluster.nodes for work in (self._points, self._connections)
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(work, node, at), daemon=True)
            for at, (work, node) in enumerate(workers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STATEMENT_S)
            assert not thread.is_alive(), "a session beside hangs"
        if self._wrong:
            raise self._wrong[0]

    def _run(
        self, work: Callable[[NodeProcess, int], None], node: NodeProcess, number: int
    ) -> None:
        try:
            work(node, number)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self._wrong.append(error)

    def _points(self, node: NodeProcess, number: int) -> None:
        with session(node) as db:
            turn = 0
            while not self._stop.is_set():
                turn += 1
                key = (turn * 7 + number) % POINTS
                with self.waits.of(f"select {node.name}"):
                    row = db.execute("SELECT n FROM points WHERE k = $1", (key,)).fetchone()
                assert row is not None
                # A fragment, which stands in line with the long one's steps.
                with self.waits.of(f"range {node.name}"):
                    db.execute(RANGE, (key, key + 20)).fetchone()
                with self.waits.of(f"update {node.name}"):
                    db.execute("UPDATE points SET n = n + 1 WHERE k = $1", (key,))
                with self.waits.of(f"insert {node.name}"):
                    db.execute("INSERT INTO points VALUES ($1, 0)", (next(NEW_KEYS),))

    def _connections(self, node: NodeProcess, _: int) -> None:
        while not self._stop.is_set():
            with self.waits.of(f"connect {node.name}"), session(node) as db:
                assert db.execute("SELECT 1").fetchone() == (1,)
            self._stop.wait(0.05)  # Not to be busy with connections alone.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run three nodes that hold flights, and points to work at beside them."""
    with running_cluster(tmp_path_factory.mktemp("long")) as cluster:
        load(cluster)
        yield cluster


def load(cluster: Cluster) -> None:
    """Write the flights and the points."""
    folder = flights.find()
    table = flights.FLIGHTS
    with session(leader_of(cluster, ROWS_GROUP), statement_timeout_s=STATEMENT_S) as db:
        create = table.create().replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1)
        settled(lambda: db.execute(create))
        for batch in flights.batches(table, folder, batch_rows=BATCH_ROWS, rows_max=FLIGHTS):
            values = [value for row in batch for value in row]
            insert = f"{table.insert(len(batch))} ON CONFLICT DO NOTHING"
            settled(partial(db.execute, insert, values, prepare=True))
        points = "CREATE TABLE IF NOT EXISTS points (k int4 PRIMARY KEY, n int8 NOT NULL)"
        settled(lambda: db.execute(points))
        places = ", ".join(f"({k}, 0)" for k in range(POINTS))
        settled(lambda: db.execute(f"INSERT INTO points VALUES {places} ON CONFLICT DO NOTHING"))


def terms(cluster: Cluster) -> dict[int, int]:
    """Return the term of each group, on which all nodes agree."""
    seen: dict[int, int] = {}

    def agree() -> bool:
        told = [
            {group.id: group.term for group in view.ask(node.admin, LOOK_S).groups}
            for node in cluster.nodes
        ]
        seen.update(told[0])
        return all(each == told[0] for each in told)

    wait_until(cluster.nodes[0], "all nodes tell of the same terms", agree)
    assert set(seen) >= {SYSTEM_GROUP, ROWS_GROUP}
    return seen


def run_join(node: NodeProcess) -> None:
    """Run the join until its time is up."""
    ends = pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout")
    with session(node, statement_timeout_s=JOIN_S) as db, ends:
        db.execute(JOIN).fetchall()


def at_once(*works: Callable[[], None]) -> None:
    """Do all of it at the same time; raises what one of them raises."""
    wrong: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def some_follower(cluster: Cluster, leader: NodeProcess) -> NodeProcess:
    """Return a node that does not lead the rows."""
    return next(node for node in cluster.nodes if node is not leader)


@pytest.mark.slow
@pytest.mark.timeout(180 + 2 * JOIN_S)
def test_nobody_waits_for_a_long_join_and_no_term_changes(cluster: Cluster) -> None:
    before = terms(cluster)
    with Beside(cluster) as beside:
        run_join(leader_of(cluster, ROWS_GROUP))
    beside.waits.check()
    assert terms(cluster) == before


@pytest.mark.slow
@pytest.mark.timeout(180 + 2 * JOIN_S)
def test_nobody_waits_for_long_joins_through_leader_and_follower(cluster: Cluster) -> None:
    before = terms(cluster)
    leader = leader_of(cluster, ROWS_GROUP)
    follower = some_follower(cluster, leader)
    with Beside(cluster) as beside:
        at_once(lambda: run_join(leader), lambda: run_join(follower))
    beside.waits.check()
    assert terms(cluster) == before


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("through", ["leader", "follower"])
def test_a_long_join_ends_when_it_is_cancelled(cluster: Cluster, through: str) -> None:
    leader = leader_of(cluster, ROWS_GROUP)
    node = leader if through == "leader" else some_follower(cluster, leader)
    moments: list[float] = []
    with session(node, statement_timeout_s=STATEMENT_S) as db:

        def run() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
                db.execute(JOIN).fetchall()
            moments.append(time.perf_counter())

        def cancel() -> None:
            wait_until(node, "the join runs", lambda: requests(leader) > 0)
            moments.append(time.perf_counter())
            db.cancel_safe(timeout=LOOK_S)

        at_once(run, cancel)
    asked, ended = moments
    assert ended - asked <= WAIT_S_MAX
    wait_until(leader, "nothing is left of the join", lambda: requests(leader) == 0)


def requests(node: NodeProcess) -> int:
    """Return how many requests at groups that a node leads have not ended."""
    return metric(node, "phantomdb_requests")


def drain(node: NodeProcess, sql: str) -> int:
    """Read a result without looking at it, which costs a client little; returns its bytes."""
    with Frontend.connect(node.pg.port) as frontend:
        frontend.send(query(sql))
        total, end = 0, b""
        while not end.endswith(b"Z\0\0\0\x05I"):
            data = frontend.socket.recv(1 << 20)
            assert data, "the server closed"
            total += len(data)
            end = (end + data)[-6:]
    return total


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("sql", [EVERYTHING, GROUPS, ORDER], ids=["everything", "groups", "order"])
def test_nobody_waits_for_wide_results(cluster: Cluster, sql: str) -> None:
    before = terms(cluster)
    leader = leader_of(cluster, ROWS_GROUP)
    follower = some_follower(cluster, leader)
    sizes: list[int] = []

    def read(node: NodeProcess) -> None:
        sizes.extend(drain(node, sql) for _ in range(3))

    with Beside(cluster) as beside:
        at_once(lambda: read(leader), lambda: read(follower))
    assert min(sizes) == max(sizes) > FLIGHTS
    beside.waits.check()
    assert terms(cluster) == before
