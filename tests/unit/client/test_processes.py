import json
import os
import socket
import sys
from pathlib import Path

import psycopg
import pytest
from kit import stand_in
from kit.cluster import leader_of, running_cluster, wait_ready
from kit.steady import LEADER_CHANGED, settled

from phantomdb.client import view
from phantomdb.client.processes import Cluster, Deadline, NodeFailed, free_ports
from phantomdb.node.world import RealWorld

WORLD = RealWorld.make()


def command(manner: str) -> tuple[str, ...]:
    return sys.executable, "-S", "-E", stand_in.__file__, manner


def make_cluster(directory: Path, manner: str, *, nodes: int = 1) -> Cluster:
    return Cluster(
        directory,
        nodes=nodes,
        clock=WORLD.clock,
        random=WORLD.random,
        command=command(manner),
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_cluster_serves_when_it_is_entered_and_is_gone_when_it_is_left(tmp_path: Path):
    with make_cluster(tmp_path, "good", nodes=3) as cluster:
        pids = [node.pid for node in cluster.nodes]
        assert all(map(is_alive, pids))
        for node in cluster.nodes:
            assert view.ask(node.admin, 5.0).members[0].name == node.name
    assert not any(map(is_alive, pids))


def test_an_error_inside_ends_the_processes_too(tmp_path: Path):
    pids = []

    def fail() -> None:
        with make_cluster(tmp_path, "good", nodes=2) as cluster:
            pids.extend(node.pid for node in cluster.nodes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


def test_a_killed_node_comes_back_on_its_ports(tmp_path: Path):
    with make_cluster(tmp_path, "good") as cluster:
        [node] = cluster.nodes
        before = node.pid
        node.kill()
        assert not node.is_running
        assert not is_alive(before)
        with pytest.raises(view.Unreachable):
            view.ask(node.admin, 5.0)
        node.start()
        node.wait_ready()
        assert node.pid != before
        assert view.ask(node.admin, 5.0).problems() == []


def test_a_node_that_is_killed_soon_is_no_longer_wanted_and_comes_back(tmp_path: Path):
    with make_cluster(tmp_path, "good", nodes=2) as cluster:
        node = cluster.nodes[1]
        node.kill_soon()
        os.waitid(os.P_PID, node.pid, os.WEXITED | os.WNOWAIT)
        cluster.watch(0.01)
        node.kill()
        node.start()
        node.wait_ready()
        assert node.is_wanted


def test_a_node_that_ends_before_it_is_ready_is_told_with_its_log(tmp_path: Path):
    with pytest.raises(NodeFailed, match="exit code 6") as caught, make_cluster(tmp_path, "dying"):
        pass
    assert "something went wrong" in caught.value.hint


@pytest.mark.parametrize(
    ("manner", "message"), [("babbling", "instead of being ready"), ("misplaced", "listens on")]
)
def test_only_a_ready_line_makes_a_node_ready(tmp_path: Path, manner: str, message: str):
    with pytest.raises(NodeFailed, match=message), make_cluster(tmp_path, manner):
        pass


def test_waiting_for_a_silent_node_ends_at_the_deadline(tmp_path: Path):
    [node] = make_cluster(tmp_path, "silent").nodes
    node.start()
    try:
        with pytest.raises(NodeFailed, match=r"not ready after 0\.05 s"):
            node.wait_ready(0.05)
    finally:
        node.stop(0)
    assert not node.is_running


def test_a_node_that_ignores_sigterm_is_ended_after_the_grace(tmp_path: Path):
    with make_cluster(tmp_path, "stubborn") as cluster:
        assert cluster.nodes[0].stop(0.05) == -9
        assert not cluster.nodes[0].is_running


def test_a_paused_node_can_be_stopped(tmp_path: Path):
    with make_cluster(tmp_path, "good") as cluster:
        [node] = cluster.nodes
        node.pause()
        assert node.is_running
        assert node.stop() == 0


def test_watching_a_node_that_ends_is_an_error(tmp_path: Path):
    with make_cluster(tmp_path, "good") as cluster:
        [node] = cluster.nodes
        node.watch(0.01)
        os.kill(node.pid, 9)
        with pytest.raises(NodeFailed, match="exit code -9"):
            node.watch(10)


def test_a_cluster_watches_all_nodes_but_those_that_were_killed(tmp_path: Path):
    with make_cluster(tmp_path, "good", nodes=3) as cluster:
        first, killed, crashed = cluster.nodes
        killed.kill()
        cluster.watch(0.01)
        os.kill(crashed.pid, 9)
        os.waitid(os.P_PID, crashed.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(NodeFailed, match="n3 ended with exit code -9"):
            cluster.watch(10)
        assert first.is_running


class Low:
    """A draw that makes the search begin at its first port."""

    def random(self) -> float:
        return 0.0

    def randbytes(self, n: int) -> bytes:
        return bytes(n)


def test_free_ports_differ_and_lie_below_those_of_outgoing_connections():
    ports = free_ports(20, WORLD.random)
    assert len(set(ports)) == 20
    assert max(ports) < 32_768
    listeners = [socket.create_server(("127.0.0.1", port)) for port in ports]
    for listener in listeners:
        listener.close()


def test_a_port_that_is_taken_is_not_given():
    [first] = free_ports(1, Low())
    with socket.create_server(("127.0.0.1", first)):
        assert first not in free_ports(3, Low())


def test_a_port_of_connections_that_have_just_ended_is_given():
    [first] = free_ports(1, Low())
    with socket.create_server(("127.0.0.1", first)) as listener:
        client = socket.create_connection(("127.0.0.1", first))
        served, _ = listener.accept()
    # Who closes first keeps the port in TIME_WAIT, which hinders no one that listens as nodes do.
    served.close()
    assert client.recv(1) == b""
    client.close()
    with socket.socket() as impatient, pytest.raises(OSError, match="in use"):
        impatient.bind(("127.0.0.1", first))
    assert free_ports(1, Low()) == [first]
    socket.create_server(("127.0.0.1", first)).close()


def test_a_deadline_never_has_less_than_nothing_left():
    assert Deadline(WORLD.clock, -1).left_s == 0
    assert 0 < Deadline(WORLD.clock, 60).left_s <= 60


class TestTheKit:
    def test_a_failing_test_shows_the_logs(self, tmp_path: Path):
        with (
            pytest.raises(NodeFailed) as caught,
            running_cluster(tmp_path, nodes=1, command=command("dying")),
        ):
            pass
        assert any("something went wrong" in note for note in caught.value.__notes__)

    def test_a_node_that_does_not_end_well_fails_the_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("phantomdb.client.processes.STOP_S", 0.05)
        with (
            pytest.raises(AssertionError, match="-9"),
            running_cluster(tmp_path, nodes=1, command=command("stubborn")),
        ):
            pass

    def test_a_leader_is_found_by_asking_a_node(self, tmp_path: Path):
        with running_cluster(tmp_path, nodes=1, command=command("good")) as cluster:
            wait_ready(cluster.nodes[0])
            assert leader_of(cluster, 2) is cluster.nodes[0]

    def test_a_leader_that_is_gone_is_not_taken_for_the_new_one(self, tmp_path: Path):
        with running_cluster(tmp_path, nodes=2, command=command("good")) as cluster:
            gone, other = cluster.nodes
            groups = [{"id": 2, "leader": other.name, "term": 4, "replicas": []}]
            told = json.dumps({"members": [], "groups": groups})
            other.directory.with_suffix(".cluster").write_text(told)
            assert leader_of(cluster, 2, without=[gone]) is other

    def test_what_a_lost_leader_leaves_open_is_run_again_and_nothing_else(self):
        answers = [*sorted(LEADER_CHANGED), "23505", "never asked"]

        def run() -> None:
            raise psycopg.errors.lookup(answers.pop(0))

        with pytest.raises(psycopg.errors.UniqueViolation):
            settled(run)
        assert answers == ["never asked"]
