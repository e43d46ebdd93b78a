"""Statements of every kind on nodes at rest: how long does one client wait for one?

The same three doors as in `test_sql_point.py`, each asked in turn, a statement at a time, after a
drawn pause in which its nodes fall asleep: what waits for a timer shows here and under no load. The
figures are the median and the 95th percentile, and the ratio of the latter to PostgreSQL's.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster
from kit.servers import DURABLE, has_postgres, postgres
from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 60
#: Statements of each kind that are not counted: texts are parsed, files made.
WARM_UP = 3
#: The longest pause before a statement, in seconds: longer than any turn of a node.
PAUSE_S = 0.03
#: Rows that stand in the table before anything is timed.
ROWS = 2_000
#: The bar that a kind should not be over: its 95th percentile beside PostgreSQL's.
BAR = 10.0
DOORS = ("postgres", "leader", "follower")


@dataclass(frozen=True)
class Kind:
    """One kind: `make(n)` is its n-th text, `tag` what the server must say of it."""

    make: Callable[[int], str]
    tag: str


def bulk(n: int, rows: int) -> str:
    first = 1_000_000 + n * rows
    return ", ".join(f"({k}, {k % 7}, 'row {k}')" for k in range(first, first + rows))


KINDS = {
    "select 1": Kind(lambda _: "SELECT 1", "SELECT 1"),
    "show": Kind(lambda _: "SHOW TimeZone", "SHOW"),
    "set": Kind(lambda n: f"SET statement_timeout = {60_000 + n}", "SET"),
    "select by key": Kind(lambda n: f"SELECT v FROM idle WHERE k = {n}", "SELECT 1"),
    "select by column": Kind(lambda n: f"SELECT k FROM idle WHERE v = 'row {n}'", "SELECT 1"),
    "select count": Kind(lambda _: f"SELECT count(*) FROM idle WHERE k < {ROWS}", "SELECT 1"),
    "select group": Kind(
        lambda _: f"SELECT g, count(*) FROM idle WHERE k < {ROWS} GROUP BY g", "SELECT 7"
    ),
    "select sorted": Kind(
        lambda _: f"SELECT k FROM idle WHERE k < {ROWS} ORDER BY v LIMIT 10", "SELECT 10"
    ),
    "select join": Kind(
        lambda n: f"SELECT a.k FROM idle a JOIN groups g ON a.g = g.g WHERE a.k = {n}", "SELECT 1"
    ),
    "insert of 1 row": Kind(
        lambda n: f"INSERT INTO idle VALUES ({100_000 + n}, 1, 'new')", "INSERT 0 1"
    ),
    "insert of 400 rows": Kind(lambda n: f"INSERT INTO idle VALUES {bulk(n, 400)}", "INSERT 0 400"),
    "insert returning": Kind(
        lambda n: f"INSERT INTO idle VALUES ({200_000 + n}, 1, 'new') RETURNING k", "INSERT 0 1"
    ),
    "insert nothing": Kind(
        lambda n: f"INSERT INTO idle VALUES ({n}, 1, 'new') ON CONFLICT DO NOTHING", "INSERT 0 0"
    ),
    "update by key": Kind(lambda n: f"UPDATE idle SET g = g WHERE k = {n}", "UPDATE 1"),
    "update by column": Kind(lambda n: f"UPDATE idle SET g = g WHERE v = 'row {n}'", "UPDATE 1"),
    "update nothing": Kind(lambda _: "UPDATE idle SET g = 1 WHERE k = -1", "UPDATE 0"),
    "delete by key": Kind(lambda n: f"DELETE FROM idle WHERE k = {100_000 + n}", "DELETE 1"),
    "delete by column": Kind(
        lambda n: f"DELETE FROM idle WHERE k = {200_000 + n} AND v = 'new'", "DELETE 1"
    ),
    "delete many": Kind(
        lambda n: f"DELETE FROM idle WHERE k / 400 = {(1_000_000 + n * 400) // 400}", "DELETE 400"
    ),
    "create table": Kind(lambda n: f"CREATE TABLE made_{n} (k int4 PRIMARY KEY)", "CREATE TABLE"),
    "first insert": Kind(lambda n: f"INSERT INTO made_{n} VALUES (1)", "INSERT 0 1"),
    "drop table": Kind(lambda n: f"DROP TABLE made_{n}", "DROP TABLE"),
}


def connect(port: int) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True
    )


def fill(db: psycopg.Connection) -> None:
    db.execute("CREATE TABLE idle (k int4 PRIMARY KEY, g int4, v text)")
    db.execute("CREATE TABLE groups (g int4 PRIMARY KEY, name text)")
    rows = ", ".join(f"({k}, {k % 7}, 'row {k}')" for k in range(ROWS))
    db.execute(f"INSERT INTO idle VALUES {rows}")
    db.execute("INSERT INTO groups VALUES " + ", ".join(f"({g}, 'group {g}')" for g in range(7)))


@pytest.fixture(scope="module")
def doors(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, psycopg.Connection]]:
    """A connection to each door; PostgreSQL and each node of the cluster fsync every commit."""
    assert has_postgres(), "PostgreSQL 15 is the peer: ci/setup installs it, and root starts it"
    directory = tmp_path_factory.mktemp("idle")
    with postgres(**DURABLE) as port, running_cluster(directory) as cluster:
        leader = leader_of(cluster, ROWS_GROUP)
        follower = next(node for node in cluster.nodes if node is not leader)
        with (
            connect(port) as peer,
            connect(leader.pg.port) as by_leader,
            connect(follower.pg.port) as by_follower,
        ):
            fill(peer)
            fill(by_leader)
            yield {"postgres": peer, "leader": by_leader, "follower": by_follower}


def wait_for(db: psycopg.Connection, kind: Kind, n: int) -> float:
    """Seconds that one statement takes, from its sending to its last row."""
    text = kind.make(n)
    time.sleep(random.random() * PAUSE_S)
    before = time.perf_counter()
    said = db.execute(text).statusmessage
    seconds = time.perf_counter() - before
    assert said == kind.tag, f"{text[:80]}: {said}"
    return seconds


def p95(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=20)[-1]


@pytest.mark.timeout(1200)
def test_wait_for_one_statement(
    benchmark: BenchmarkFixture, doors: dict[str, psycopg.Connection]
) -> None:
    # The doors of one cluster write the same rows: each has numbers of its own.
    spans = {"postgres": 0, "leader": 0, "follower": ROUNDS + WARM_UP}
    waits: dict[str, dict[str, list[float]]]
    waits = {name: {door: [] for door in DOORS} for name in KINDS}
    rounds = iter(range(ROUNDS + WARM_UP))

    def one_round() -> None:
        n = next(rounds)
        for name, kind in KINDS.items():
            for door in random.sample(DOORS, len(DOORS)):
                waits[name][door].append(wait_for(doors[door], kind, spans[door] + n))

    benchmark.pedantic(one_round, rounds=ROUNDS + WARM_UP, iterations=1)

    print(f"\n{'p50 / p95 in ms':<20}" + "".join(f"{door:>18}" for door in DOORS) + "   p95 ratios")
    over = []
    for name, by_door in waits.items():
        counted = {door: found[WARM_UP:] for door, found in by_door.items()}
        mids = {door: statistics.median(found) * 1e3 for door, found in counted.items()}
        tails = {door: p95(found) * 1e3 for door, found in counted.items()}
        ratios = {door: tails[door] / tails["postgres"] for door in DOORS[1:]}
        cells = "".join(f"{mids[door]:9.2f} /{tails[door]:7.2f}" for door in DOORS)
        print(f"{name:<20}{cells}   " + "  ".join(f"{r:.1f}x" for r in ratios.values()))
        benchmark.extra_info[name] = {door: [mids[door], tails[door]] for door in DOORS}
        over += [f"{name} by the {door}: {r:.1f}x" for door, r in ratios.items() if r > BAR]
    benchmark.extra_info["over the bar"] = over
    print(f"over {BAR:g}x: {', '.join(over) or 'none'}")
    for db in doors.values():
        left = db.execute("SELECT count(*) FROM idle WHERE k >= 1000000").fetchone()
        assert left == (0,), "the answer is checked outside the timing"
