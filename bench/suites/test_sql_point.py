"""Statements by key, driven by pgbench over prepared statements: how many a second?

Three doors in one run, in a random order each round: PostgreSQL 15 (one copy), and three nodes of
PhantomDB through the leader of the rows and through a follower (three copies). All fsync every
commit. The figure is the ratio of medians to PostgreSQL's.
"""

import random
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster
from kit.servers import DURABLE, has_postgres, postgres
from pytest_benchmark.fixture import BenchmarkFixture

WORKLOADS = Path(__file__).parent.parent / "workloads"
ROUNDS = 5
SECONDS = 3
ACCOUNTS = 10_000
DOORS = ("postgres", "leader", "follower")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Ports of the three doors, each with the same rows behind it."""
    assert has_postgres(), "PostgreSQL 15 is the peer: ci/setup installs it, and root starts it"
    directory = tmp_path_factory.mktemp("point")
    with postgres(**DURABLE) as port, running_cluster(directory) as cluster:
        leader = leader_of(cluster, ROWS_GROUP)
        follower = next(node for node in cluster.nodes if node is not leader)
        ports = {"postgres": port, "leader": leader.pg.port, "follower": follower.pg.port}
        for door in ("postgres", "leader"):
            fill(ports[door])
        yield ports


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
        for first in range(1, ACCOUNTS + 1, 1000):
            rows = ", ".join(f"({aid}, 0, '{'x' * 84}')" for aid in range(first, first + 1000))
            db.execute(f"INSERT INTO accounts VALUES {rows}")


def pgbench(port: int, script: str, clients: int) -> float:
    """Transactions a second."""
    command = [
        *("pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-n"),
        *("-f", WORKLOADS / f"{script}.sql", "-c", str(clients), "-j", "1"),
        *("-T", str(SECONDS), "-M", "prepared", "postgres"),
    ]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "number of failed transactions: 0 " in out, out
    found = re.search(r"tps = ([0-9.]+)", out)
    assert found is not None, out
    return float(found[1])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("clients", [1, 8])
@pytest.mark.parametrize("script", ["point_select", "point_update", "point_insert"])
def test_statements_a_second(
    benchmark: BenchmarkFixture, doors: dict[str, int], script: str, clients: int
) -> None:
    rates: dict[str, list[float]] = {door: [] for door in DOORS}

    def one_round() -> None:
        for door in random.sample(DOORS, len(DOORS)):
            rates[door].append(pgbench(doors[door], script, clients))

    benchmark.pedantic(one_round, rounds=ROUNDS, iterations=1)

    medians = {door: statistics.median(found) for door, found in rates.items()}
    for door in DOORS:
        benchmark.extra_info[f"{door} tps"] = round(medians[door])
        benchmark.extra_info[f"{door} spread"] = [round(min(rates[door])), round(max(rates[door]))]
    for door in DOORS[1:]:
        benchmark.extra_info[f"{door} / postgres"] = round(medians[door] / medians["postgres"], 3)
    print(f"\n{script} c{clients}: {benchmark.extra_info}")
    with connect(doors["follower"]) as db:
        counted = db.execute("SELECT count(*) FROM accounts").fetchone()
    assert counted == (ACCOUNTS,), "the answer is checked outside the timing"
