"""Statements by key, and of many rows, driven over prepared statements: how many a second?

Four doors in one run, in a random order each round: PostgreSQL 15 (one copy), three nodes of
PhantomDB through the leader of the rows and through a follower (three copies), and one node alone.
All fsync every commit. The figures are the ratios of medians to PostgreSQL's, of rates and of
processor time a statement (of all processes of a door: rates of few clients on few cores depend on
who wakes whom where).

`PHANTOMDB_BENCH_S` is how long a cell takes, 5 s if nothing is said; each rate is also taken with
everything on one core.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster
from kit.cpu import one_core, used_s
from kit.pgbench import pgbench as run_pgbench
from kit.servers import DURABLE, has_postgres, postgres_server
from kit.table import Cell, figures, row
from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 3
SECONDS = float(os.environ.get("PHANTOMDB_BENCH_S", "5"))
ACCOUNTS = 10_000
#: Rows of one INSERT, and of one result.
BULK_ROWS = 1_000
RESULT_ROWS = 100_000
PEER = "postgres"


@dataclass(frozen=True)
class Door:
    """A port, and the processes that serve behind it."""

    port: int
    pids: list[int]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Door]]:
    """Give the doors, each with the same rows behind it."""
    assert has_postgres(), "PostgreSQL 15 is the peer: ci/setup installs it, and root starts it"
    directory = tmp_path_factory.mktemp("point")
    with (
        postgres_server(**DURABLE, max_connections="100") as peer,
        running_cluster(directory / "three") as three,
        running_cluster(directory / "one", nodes=1) as one,
    ):
        leader = leader_of(three, ROWS_GROUP)
        follower = next(node for node in three.nodes if node is not leader)
        all_three = [node.pid for node in three.nodes]
        [alone] = one.nodes
        found = {
            PEER: Door(peer.port, [peer.pid]),
            "leader": Door(leader.pg.port, all_three),
            "follower": Door(follower.pg.port, all_three),
            "one node": Door(alone.pg.port, [alone.pid]),
        }
        for door in (PEER, "leader", "one node"):
            fill(found[door].port)
        yield found


def connect(port: int) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True
    )


def fill(port: int) -> None:
    with connect(port) as db:
        db.execute("CREATE TABLE accounts (aid int4 PRIMARY KEY, abalance int4, filler text)")
        db.execute(
            "CREATE TABLE history (high int4, low int4, delta int4, PRIMARY KEY (high, low))"
        )
        db.execute("CREATE TABLE result (k int4 PRIMARY KEY, v int4, t text)")
        db.execute("CREATE TABLE bulk (k int8 PRIMARY KEY, v int4, t text)")
        for first in range(1, ACCOUNTS + 1, 1_000):
            rows = ", ".join(f"({aid}, 0, '{'x' * 84}')" for aid in range(first, first + 1_000))
            db.execute(f"INSERT INTO accounts VALUES {rows}")
        for first in range(0, RESULT_ROWS, 5_000):
            rows = ", ".join(f"({k}, {k % 97}, 'row {k}')" for k in range(first, first + 5_000))
            db.execute(f"INSERT INTO result VALUES {rows}")


def pgbench(door: Door, script: str, clients: int) -> tuple[float, float]:
    """Return statements a second and microseconds of CPU of each."""
    before = used_s(door.pids)
    ran = run_pgbench(door.port, script, clients=clients, seconds=SECONDS)
    return ran.rate, (used_s(door.pids) - before) / ran.count * 1e6


def loop(door: Door, run: Callable[[psycopg.Connection, int], None]) -> tuple[float, float]:
    """Run something again and again on one connection: times a second, CPU of each."""
    with connect(door.port) as db:
        run(db, 0)
        before, start, count = used_s(door.pids), time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            count += 1
            run(db, count)
        rate = count / (time.perf_counter() - start)
        return rate, (used_s(door.pids) - before) / count * 1e6


def measure(
    benchmark: BenchmarkFixture,
    doors: dict[str, Door],
    what: str,
    take: Callable[[Door], tuple[float, float]],
) -> None:
    """Take each door in turn, round by round, and print its row."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in doors}

    def one_round() -> None:
        for name in random.sample(list(doors), len(doors)):
            taken[name].append(take(doors[name]))

    benchmark.pedantic(one_round, rounds=ROUNDS, iterations=1)
    cells = {
        name: Cell([rate for rate, _ in found], [cpu for _, cpu in found])
        for name, found in taken.items()
    }
    benchmark.extra_info.update(figures(PEER, cells))
    print(f"\n{row(what, PEER, cells)}")
    print(f"  spread: {', '.join(f'{name} {cell.spread}' for name, cell in cells.items())}")
    for name, door in doors.items():
        with connect(door.port) as db:
            counted = db.execute("SELECT count(*) FROM accounts").fetchone()
            assert counted == (ACCOUNTS,), f"{name}: the answer is checked outside the timing"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("cores", ["all cores", "one core"])
@pytest.mark.parametrize("clients", [1, 8, 64])
@pytest.mark.parametrize("script", ["point_select", "point_update", "point_insert"])
def test_statements_a_second(
    benchmark: BenchmarkFixture, doors: dict[str, Door], script: str, clients: int, cores: str
) -> None:
    pids = [pid for door in doors.values() for pid in door.pids]
    with one_core(pids) if cores == "one core" else nullcontext():
        what = f"{script.removeprefix('point_')} c{clients}, {cores}"
        measure(benchmark, doors, what, lambda door: pgbench(door, script, clients))


@pytest.mark.timeout(900)
def test_an_insert_of_a_thousand_rows(benchmark: BenchmarkFixture, doors: dict[str, Door]) -> None:
    def insert(db: psycopg.Connection, _: int) -> None:
        first = random.randrange(1 << 62)
        rows = ", ".join(f"({first + k}, {k}, 'row {k}')" for k in range(BULK_ROWS))
        assert db.execute(f"INSERT INTO bulk VALUES {rows}").rowcount == BULK_ROWS

    measure(benchmark, doors, f"insert of {BULK_ROWS:,} rows", lambda door: loop(door, insert))


@pytest.mark.timeout(900)
def test_a_full_result(benchmark: BenchmarkFixture, doors: dict[str, Door]) -> None:
    def select(db: psycopg.Connection, _: int) -> None:
        # The rows are counted where they come in: the client's own time is in both.
        found = db.pgconn.exec_(b"SELECT k, v, t FROM result")
        assert found.ntuples == RESULT_ROWS, found.error_message

    measure(benchmark, doors, f"result of {RESULT_ROWS:,} rows", lambda door: loop(door, select))
