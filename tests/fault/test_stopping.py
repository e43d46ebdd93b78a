"""Stopping is no crash: what others have under way is answered, and a new leader is there at once.

Clients of the other nodes may meet no error at all while the leader of everything is told to stop.
"""

import http.client
import json
import threading
from pathlib import Path
from typing import Self

import pytest
from kit.cluster import ROWS_GROUP, leader_of, running_cluster, session, wait_until
from kit.frontend import Frontend, query
from kit.gauges import metric

from phantomdb.client.processes import Cluster, NodeProcess

#: Rows of 1 KiB, each with each: far more than sockets hold, so that it runs until it is read.
ROWS = 100
PAIRS = "SELECT a.v, b.v FROM wide a, wide b"
LOOK_S = 10.0


class Writers:
    """A session of each node inserts row after row; an error of any is the test's."""

    def __init__(self, nodes: list[NodeProcess]) -> None:
        self.acknowledged: dict[str, list[int]] = {node.name: [] for node in nodes}
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._wrong: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(node, at * 1_000_000), daemon=True)
            for at, node in enumerate(nodes)
        ]

    def _run(self, node: NodeProcess, first: int) -> None:
        try:
            with session(node) as db:
                row = first
                while not self._stop.is_set():
                    row += 1
                    db.execute(f"INSERT INTO kept VALUES ({row})")
                    with self._changed:
                        self.acknowledged[node.name].append(row)
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            with self._changed:
                self._wrong.append(error)
                self._changed.notify_all()

    def wait_for(self, more: int) -> None:
        """Wait until each has inserted so many more."""
        with self._changed:
            wanted = {name: len(rows) + more for name, rows in self.acknowledged.items()}

            def have_come() -> bool:
                return bool(self._wrong) or all(
                    len(self.acknowledged[name]) >= count for name, count in wanted.items()
                )

            assert self._changed.wait_for(have_come, timeout=60)
        self._tell()

    def _tell(self) -> None:
        if self._wrong:
            raise AssertionError("a statement of another node met an error") from self._wrong[0]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        self._tell()


def fill(cluster: Cluster) -> None:
    with session(cluster.nodes[0]) as db:
        db.execute("CREATE TABLE kept (k int4 PRIMARY KEY)")
        db.execute("CREATE TABLE wide (k int4 PRIMARY KEY, v text)")
        rows = ", ".join(f"({k}, '{'x' * 1_000}')" for k in range(ROWS))
        db.execute(f"INSERT INTO wide VALUES {rows}")


def readiness(node: NodeProcess) -> tuple[int, str]:
    """Return the status and the state that a node tells."""
    connection = http.client.HTTPConnection(node.admin.host, node.admin.port, timeout=LOOK_S)
    try:
        connection.request("GET", "/readiness")
        answer = connection.getresponse()
        return answer.status, json.load(answer)["state"]
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_leader_that_stops_costs_no_statement_of_others(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        fill(cluster)
        for _ in range(2):
            leader = leader_of(cluster, ROWS_GROUP)
            others = [node for node in cluster.nodes if node is not leader]
            with session(leader) as db:
                before = db.execute("SELECT count(*) FROM kept").fetchone()
            with Writers(others) as writers:
                writers.wait_for(50)
                assert leader.stop() == 0
                writers.wait_for(50)
            rows = sum(len(acknowledged) for acknowledged in writers.acknowledged.values())
            with session(others[0]) as db:
                found = db.execute("SELECT count(*) FROM kept").fetchone()
                db.execute("DELETE FROM kept")
            assert before is not None
            assert found == (before[0] + rows,)
            said = leader.log.read_text()
            assert said.rindex("lost_leadership [2") < said.rindex("stopped"), "it was handed over"
            assert "Asked" in said[said.rindex("lost_leadership [2") :]
            leader.start()
            leader.wait_ready()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_statement_that_runs_at_a_leader_that_stops_is_answered(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        fill(cluster)
        leader = leader_of(cluster, ROWS_GROUP)
        other = next(node for node in cluster.nodes if node is not leader)
        with Frontend.connect(other.pg.port) as theirs, Frontend.connect(leader.pg.port) as own:
            for frontend in (theirs, own):
                frontend.send(query(PAIRS))
            wait_until(leader, "both run", lambda: metric(leader, "phantomdb_requests") == 2)
            leader.ask_to_stop()
            for frontend in (theirs, own):
                answer = frontend.answer()
                assert (answer.errors, len(answer.values())) == ([], ROWS * ROWS)
        assert leader.wait_stopped() == 0


@pytest.mark.timeout(120)
def test_a_node_that_stops_says_so_until_it_has_served_its_clients(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=1) as cluster:
        fill(cluster)
        [node] = cluster.nodes
        assert readiness(node) == (200, "serving")
        with Frontend.connect(node.pg.port) as slow:
            slow.send(query(PAIRS))
            assert slow.receive()[0] == "T"
            node.ask_to_stop()
            wait_until(node, "it says so", lambda: readiness(node) == (503, "stopping"))
            assert node.wait_stopped() == 0
