"""Three nodes beside three members of etcd: writes, linearizable reads, and a leader that goes.

Both clusters run at once on loopback, in a random order each round. Both acknowledge a write when
a majority has fsynced it, and both keep their defaults. Clients of both talk to the leader; a read
of ours needs nobody else while its lease holds, one of etcd asks a majority. Rows and values have
256 bytes, and keys are drawn from 10,000.

- pgbench drives us, and gRPC clients written in Go drive etcd, each with a connection of its own.
  They share the machine's cores with the servers, so their processor time is printed as well.
- An update of ours adds to a number: it reads the row and writes it whole. A put only writes.
- A gap is the longest time in which none of the writes that come every 10 ms is acknowledged. Ours
  come through one node that lives, etcd's from one client that knows all members.

`PHANTOMDB_BENCH_S` is how long a cell takes, 5 s if nothing is said; `PHANTOMDB_BENCH_RUNS` how
often each leader goes, 10 times. Each question runs alone with `-k`: `update_by_many`,
`update_at_a_time`, `reads`, `stays`, `killed`, `stopped`. Go builds etcd; the first time takes a
minute or two.
"""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import psycopg
import pytest
from kit.acks import Acks, sql_ticks
from kit.cluster import ROWS_GROUP, leader_of, running_cluster, wait_caught_up, wait_ready
from kit.cpu import used_s
from kit.etcd import VALUE_BYTES, Etcd, Member, running_etcd
from kit.pgbench import Ran, pgbench
from kit.table import Cell, figures, row, times_figures, times_row
from pytest_benchmark.fixture import BenchmarkFixture

from phantomdb.base.world import Address
from phantomdb.client.processes import Cluster, NodeProcess

ROUNDS = 3
SECONDS = float(os.environ.get("PHANTOMDB_BENCH_S", "5"))
RUNS = int(os.environ.get("PHANTOMDB_BENCH_RUNS", "10"))
KEYS = 10_000
#: What a row has beside two numbers of 4 bytes; of digits that are drawn, so nothing is repeated.
FILLER_BYTES = VALUE_BYTES - 8
PEER = "etcd"
OURS = "three nodes"
#: Writes that are acknowledged before a leader goes, and after it has gone.
STEADY, AFTERWARDS = 50, 100
#: A number for the writes of each run.
NUMBERS = count(1)


@dataclass(frozen=True)
class Both:
    """The two clusters, each with the same keys."""

    cluster: Cluster
    etcd: Etcd

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes of each."""
        return {PEER: self.etcd.pids, OURS: [node.pid for node in self.cluster.nodes]}

    def leaders(self) -> tuple[Member, NodeProcess]:
        """Return who leads in each."""
        return self.etcd.leader(), leader_of(self.cluster, ROWS_GROUP)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Give both clusters, filled."""
    directory = tmp_path_factory.mktemp("replication")
    with running_etcd(directory / "etcd") as etcd, running_cluster(directory / "ours") as cluster:
        print(f"\netcd {etcd.status()[0]['version']}")
        etcd.fill(KEYS)
        with connect(leader_of(cluster, ROWS_GROUP).pg) as db:
            fill(db)
        yield Both(cluster, etcd)


def connect(address: Address) -> psycopg.Connection:
    return psycopg.connect(
        host=address.host, port=address.port, user="postgres", dbname="postgres", autocommit=True
    )


def fill(db: psycopg.Connection) -> None:
    db.execute("CREATE TABLE accounts (aid int4 PRIMARY KEY, abalance int4, filler text)")
    for first in range(1, KEYS + 1, 1_000):
        rows = ", ".join(
            f"({aid}, 0, '{random.randbytes(FILLER_BYTES // 2).hex()}')"
            for aid in range(first, first + 1_000)
        )
        db.execute(f"INSERT INTO accounts VALUES {rows}")


@dataclass(frozen=True)
class Taken:
    """One door in one round; of a request, processor time of the servers and of the clients."""

    ran: Ran
    servers_us: float
    clients_us: float


def take(run: Callable[[], Ran], pids: list[int]) -> Taken:
    servers, clients = used_s(pids), clients_s()
    ran = run()
    servers, clients = used_s(pids) - servers, clients_s() - clients
    return Taken(ran, servers / ran.count * 1e6, clients / ran.count * 1e6)


def clients_s() -> float:
    """Return the processor time of processes that were run to their end, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(
    benchmark: BenchmarkFixture, both: Both, what: str, runs: dict[str, Callable[[], Ran]]
) -> None:
    """Take both in turn, round by round, and print their row; rows of p50 where both are known."""
    taken: dict[str, list[Taken]] = {name: [] for name in runs}

    def one_round() -> None:
        for name in random.sample(list(runs), len(runs)):
            taken[name].append(take(runs[name], both.pids[name]))

    benchmark.pedantic(one_round, rounds=ROUNDS, iterations=1)
    cells = {
        name: Cell([one.ran.rate for one in found], [one.servers_us for one in found])
        for name, found in taken.items()
    }
    benchmark.extra_info.update(figures(PEER, cells))
    print(f"\n{row(what, PEER, cells)}")
    print(f"  spread: {', '.join(f'{name} {cell.spread}' for name, cell in cells.items())}")
    clients = {
        name: Cell(cells[name].rates, [one.clients_us for one in found])
        for name, found in taken.items()
    }
    print(f"  clients: {', '.join(f'{name} {cell.cpu:.0f} us' for name, cell in clients.items())}")
    times = {
        name: [one.ran.p50_us / 1e3 for one in found if one.ran.p50_us is not None]
        for name, found in taken.items()
    }
    if all(times.values()):
        benchmark.extra_info.update(times_figures(PEER, times))
        print(times_row(f"p50 of {what}", PEER, times))


def measure_writes(
    benchmark: BenchmarkFixture, both: Both, what: str, *, connections: int, with_p50: bool
) -> None:
    """Measure updates of ours and puts, and see that they were done: each put, and our sum."""
    member, node = both.leaders()
    puts = 0

    def put() -> Ran:
        nonlocal puts
        ran = both.etcd.load(
            "put", through=member, connections=connections, seconds=SECONDS, keys=KEYS
        )
        puts += ran.count
        return ran

    def update() -> Ran:
        return pgbench(
            node.pg.port, "point_update", clients=connections, seconds=SECONDS, with_p50=with_p50
        )

    [revision] = {said["revision"] for said in both.etcd.status()}
    before = sums(both.cluster)
    measure(benchmark, both, what, {PEER: put, OURS: update})
    assert both.leaders() == (member, node), "the leader changed: the figures are of both"

    for said in both.etcd.status():
        assert said["keys"] == KEYS, said
        assert said["revision"] == revision + puts, "a revision for each put"
    [(rows, total)] = sums(both.cluster)
    assert rows == KEYS
    assert (rows, total) not in before, "updates change the sum"


def sums(cluster: Cluster) -> set[tuple[int, int]]:
    """Return how many rows there are and their sum, as all nodes tell it."""
    found = set()
    for node in cluster.nodes:
        with connect(node.pg) as db:
            [answer] = db.execute("SELECT count(*), sum(abalance) FROM accounts").fetchall()
            found.add(answer)
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("connections", [64, 500])
def test_update_by_many(benchmark: BenchmarkFixture, both: Both, connections: int) -> None:
    what = f"update c{connections}"
    measure_writes(benchmark, both, what, connections=connections, with_p50=False)


@pytest.mark.timeout(300)
def test_update_at_a_time(benchmark: BenchmarkFixture, both: Both) -> None:
    measure_writes(benchmark, both, "update c1", connections=1, with_p50=True)


@pytest.mark.timeout(300)
def test_reads(benchmark: BenchmarkFixture, both: Both) -> None:
    member, node = both.leaders()

    def get() -> Ran:
        return both.etcd.load("get", through=member, connections=64, seconds=SECONDS, keys=KEYS)

    def fetch() -> Ran:
        return pgbench(node.pg.port, "point_fetch", clients=64, seconds=SECONDS)

    measure(benchmark, both, "read c64", {PEER: get, OURS: fetch})
    assert both.leaders() == (member, node), "the leader changed: the figures are of both"

    # etcd's clients look at each value; pgbench looks at none.
    with connect(node.pg) as db:
        found = db.execute("SELECT length(filler) FROM accounts").fetchall()
    assert found == [(FILLER_BYTES,)] * KEYS


class Victim(Protocol):
    """A leader that goes, and comes back: one of ours or of etcd."""

    @property
    def is_running(self) -> bool: ...
    def start(self) -> None: ...
    def wait_ready(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> int | None: ...


class Replicated(Protocol):
    """What a cluster must offer to have its leader taken away."""

    def leader(self) -> Victim: ...
    def ticks(self, name: str, victim: Victim) -> AbstractContextManager[Acks]: ...
    def numbers(self, name: str) -> set[int]: ...
    def stop(self, victim: Victim) -> None: ...
    def back(self, victim: Victim) -> None: ...
    def log_tails(self) -> str: ...


@dataclass(frozen=True)
class Ours:
    """Three nodes, written to through one that lives."""

    cluster: Cluster

    def leader(self) -> NodeProcess:
        return leader_of(self.cluster, ROWS_GROUP)

    def ticks(self, name: str, victim: NodeProcess) -> AbstractContextManager[Acks]:
        alive = next(node for node in self.cluster.nodes if node is not victim)
        with connect(alive.pg) as db:
            db.execute(f"CREATE TABLE {name} (k int4 PRIMARY KEY, filler text)")
        return sql_ticks(alive.pg, name)

    def numbers(self, name: str) -> set[int]:
        alive = next(node for node in self.cluster.nodes if node.is_running)
        with connect(alive.pg) as db:
            return {k for (k,) in db.execute(f"SELECT k FROM {name}").fetchall()}

    def stop(self, victim: NodeProcess) -> None:
        assert victim.stop() == 0, "a node hands over and ends well"

    def back(self, victim: NodeProcess) -> None:
        wait_ready(victim)
        wait_caught_up(self.cluster, victim)

    def log_tails(self) -> str:
        return "\n".join(f"{node.name}: {node.log_tail()}" for node in self.cluster.nodes)


@dataclass(frozen=True)
class Theirs:
    """Three members, written to by a client that knows all of them."""

    etcd: Etcd

    def leader(self) -> Member:
        return self.etcd.leader()

    def ticks(self, name: str, _victim: Member) -> AbstractContextManager[Acks]:
        return self.etcd.ticks(f"{name}/")

    def numbers(self, name: str) -> set[int]:
        return self.etcd.numbers(f"{name}/")

    def stop(self, victim: Member) -> None:
        self.etcd.move_leader()
        # etcd ends by the signal itself when it is done.
        assert victim.stop() in (0, -signal.SIGTERM), "a member ends well"

    def back(self, victim: Member) -> None:
        """Nothing is left to wait for: a ready member has read through the log."""

    def log_tails(self) -> str:
        return "\n".join(f"{member.name}: {member.log_tail()}" for member in self.etcd.members)


def gap_ms(system: Replicated, go: Callable[[Replicated, Victim], None]) -> float:
    """Let the leader go while writes come; return the longest time without an acknowledgement."""
    name, victim = f"ticks_{next(NUMBERS)}", system.leader()
    with system.ticks(name, victim) as acks:
        acks.wait_for(STEADY)
        assert system.leader() is victim, "the leader changed by itself: it would not be missed"
        since = time.time()
        go(system, victim)
        acks.wait_for(AFTERWARDS)
    lost = acks.numbers - system.numbers(name)
    assert not lost, f"acknowledged writes are lost: {sorted(lost)[:9]}"
    if not victim.is_running:
        victim.start()
        victim.wait_ready()
        system.back(victim)
    return acks.gap_s(since) * 1e3


def measure_gaps(
    benchmark: BenchmarkFixture, both: Both, what: str, go: Callable[[Replicated, Victim], None]
) -> None:
    """Take both in turn, run by run, and print their row."""
    systems: dict[str, Replicated] = {PEER: Theirs(both.etcd), OURS: Ours(both.cluster)}
    gaps: dict[str, list[float]] = {name: [] for name in systems}

    def one_run() -> None:
        for name in random.sample(list(systems), len(systems)):
            try:
                gaps[name].append(gap_ms(systems[name], go))
            except BaseException as error:
                error.add_note(f"it was {name}, after {gaps[name]}:\n{systems[name].log_tails()}")
                raise

    benchmark.pedantic(one_run, rounds=RUNS, iterations=1)
    benchmark.extra_info.update(times_figures(PEER, gaps))
    print(f"\n{times_row(what, PEER, gaps)}")


@pytest.mark.timeout(300)
def test_the_leader_stays(benchmark: BenchmarkFixture, both: Both) -> None:
    """The floor of the other gaps: what clients and a busy machine do by themselves."""

    def stay(_: Replicated, victim: Victim) -> None:
        assert victim.is_running

    measure_gaps(benchmark, both, "gap, leader stays", stay)


@pytest.mark.timeout(300)
def test_the_leader_is_killed(benchmark: BenchmarkFixture, both: Both) -> None:
    measure_gaps(benchmark, both, "gap, leader killed", lambda _, victim: victim.kill())


@pytest.mark.timeout(300)
def test_the_leader_is_stopped(benchmark: BenchmarkFixture, both: Both) -> None:
    measure_gaps(benchmark, both, "gap, leader stopped", lambda system, victim: system.stop(victim))
