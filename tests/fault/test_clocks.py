"""Wall clocks that jump cost nothing: not their nodes, not a cluster, and not a restart.

Nodes run under libfaketime, each with a wall clock of its own that a test moves, and with the
machine's monotonic clock. Clients write all the time; while clocks jump no leadership changes.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest
from kit.cluster import ROWS_GROUP, SYSTEM_GROUP, running_cluster, session, wait_ready
from kit.shims.troubled import Trouble
from kit.steady import settled

from phantomdb.client import view
from phantomdb.client.processes import Cluster, NodeProcess

HOUR_S = 3_600.0
#: How long a clock is wrong, and how long all is watched when it is right again, in seconds.
WRONG_S = 4.0
RIGHT_S = 6.0
#: How long a wrong clock may keep a node out beyond the time that it is wrong, in seconds.
OUT_MAX_S = 10.0
#: Rows that each node must take in each part of a test.
ROWS = 20


@dataclass(slots=True)
class Writer:
    """Inserts rows through one node, until it is told to end, or to the first error."""

    node: NodeProcess
    first: int
    written: int = 0
    errors: list[psycopg.Error] = field(default_factory=list)

    def run(self, ended: threading.Event) -> None:
        with session(self.node) as db:
            for row in count(self.first):
                if ended.is_set():
                    return
                try:
                    db.execute("INSERT INTO rows VALUES ($1)", (row,))
                except psycopg.Error as error:
                    self.errors.append(error)
                    return
                self.written += 1


@contextmanager
def writers(nodes: Sequence[NodeProcess], part: int) -> Iterator[list[Writer]]:
    """Write through all of these nodes at once; no statement may fail."""
    ended = threading.Event()
    found = [Writer(node, (part * len(nodes) + at) * 10_000_000) for at, node in enumerate(nodes)]
    threads = [threading.Thread(target=writer.run, args=(ended,)) for writer in found]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert [writer.errors for writer in found] == [[] for _ in found]


def terms(node: NodeProcess) -> list[int]:
    """Return the terms of all groups."""
    seen = view.look(node.admin, 10.0)
    return [seen.group(group).term for group in (SYSTEM_GROUP, ROWS_GROUP)]


def make_table(cluster: Cluster) -> None:
    with session(cluster.nodes[0]) as db:
        settled(lambda: db.execute("CREATE TABLE rows (k int4 PRIMARY KEY)"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_clocks_that_jump_for_a_while_end_no_leadership_and_no_statement(tmp_path: Path) -> None:
    trouble = Trouble(tmp_path, clocks=True)
    trouble.move_clock(["n1", "n2", "n3"], seconds=0)
    cases = [(["n1", "n2"], 45.0), (["n3"], 8 * HOUR_S), (["n2"], -8 * HOUR_S)]
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        make_table(cluster)
        before = terms(cluster.nodes[0])
        for part, (names, seconds) in enumerate(cases):
            with writers(cluster.nodes, part) as found:
                trouble.move_clock(names, seconds=seconds)
                cluster.watch(WRONG_S)
                trouble.move_clock(names, seconds=0)
                now = [writer.written for writer in found]
                cluster.watch(RIGHT_S)
            after = [writer.written for writer in found]
            assert min(now) >= ROWS, f"{names} {seconds}: {now} rows while it was wrong"
            gained = [late - early for early, late in zip(now, after, strict=True)]
            assert min(gained) >= ROWS, f"{names} {seconds}: {gained} rows afterwards"
            assert terms(cluster.nodes[0]) == before, f"{names} {seconds}"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("nodes", [1, 3])
def test_a_restart_under_a_wrong_clock_and_after_it_serves_within_seconds(
    tmp_path: Path, nodes: int
) -> None:
    trouble = Trouble(tmp_path, clocks=True)
    wrong = f"n{nodes}"
    trouble.move_clock([f"n{at + 1}" for at in range(nodes)], seconds=0)
    with running_cluster(tmp_path, nodes=nodes, command=trouble.command) as cluster:
        make_table(cluster)
        node = cluster.node(wrong)
        for row, (kill, seconds) in enumerate([(False, 8 * HOUR_S), (True, 8 * HOUR_S), (True, 0)]):
            trouble.move_clock([wrong], seconds=seconds)
            if kill:
                node.kill()
                node.start()
                node.wait_ready()
            wait_ready(node, seconds=OUT_MAX_S)
            with session(node) as db:
                insert = "INSERT INTO rows VALUES ($1) ON CONFLICT DO NOTHING"
                settled(partial(db.execute, insert, (row,)))
            cluster.watch(1.0)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_nodes_whose_clocks_are_hours_apart_form_a_cluster(tmp_path: Path) -> None:
    trouble = Trouble(tmp_path, clocks=True)
    for at, hours in enumerate((8, 0, -3)):
        trouble.move_clock([f"n{at + 1}"], seconds=hours * HOUR_S)
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        make_table(cluster)
        with writers(cluster.nodes, 0) as found:
            cluster.watch(WRONG_S)
        assert min(writer.written for writer in found) >= ROWS
