"""How a node refuses to start: by an exit code and a sentence, before it touches anything."""

import http.client
import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit.cluster import running_cluster, wait_until
from kit.frontend import Frontend

from phantomdb.client.processes import COMMAND, Cluster, NodeFailed, NodeProcess, free_ports
from phantomdb.node.world import RealWorld

#: How long a node may take to refuse, in seconds.
REFUSE_S = 45


def refused(*options: str, cwd: Path) -> tuple[int, str]:
    """Start a node that must refuse; returns its exit code and what it said."""
    ended = subprocess.run(
        [*COMMAND, *options],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=REFUSE_S,
        check=False,
    )
    assert ended.stdout == "", "a node that refuses is never ready"
    return ended.returncode, ended.stderr


def doors(**given: int) -> list[str]:
    """Return options for free ports, but those that are given."""
    names = ("pg", "peer", "admin")
    ports = dict(zip(names, free_ports(3, RealWorld.make().random), strict=True)) | given
    return [part for name in names for part in (f"--listen-{name}", f"127.0.0.1:{ports[name]}")]


def test_a_directory_belongs_to_one_process(node: NodeProcess, tmp_path: Path) -> None:
    code, said = refused("--data", str(node.directory), *doors(), cwd=tmp_path)
    assert code == 5
    assert str(node.directory) in said


@pytest.mark.parametrize("door", ["pg", "peer", "admin"])
def test_a_port_in_use_is_named(node: NodeProcess, tmp_path: Path, door: str) -> None:
    taken = getattr(node, door)
    data = tmp_path / "data"
    code, said = refused("--data", str(data), *doors(**{door: taken.port}), cwd=tmp_path)
    assert code == 8
    assert f"{taken} is in use" in said
    assert not data.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--nonsense"],
        ["--listen-pg", "nowhere"],
        ["--listen-pg", "127.0.0.1:65536"],
        ["--listen-pg", "0.0.0.0:5432"],
        ["--memory", "1KiB"],
        ["--memory", "much"],
        ["--sql-memory", "15MiB"],
        ["--join", "127.0.0.1:1,127.0.0.1:2"],
        ["--join", "127.0.0.1:1,127.0.0.1:1,127.0.0.1:2"],
        ["--join", "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"],
        ["--join", "here"],
        ["--join", "127.0.0.1:1,a..b:2,127.0.0.1:3"],
        ["--name", "\udcff"],
        ["--name", "x" * 5_000],
        ["--data", "\udcff"],
        ["argument"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_usage(tmp_path: Path, options: list[str]) -> None:
    ports = doors() if "--listen-pg" not in options else doors()[2:]
    code, said = refused("--data", str(tmp_path / "data"), *ports, *options, cwd=tmp_path)
    assert code == 2
    assert said
    assert "Traceback" not in said


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, said = refused("--data", str(tmp_path / "file"), *doors(), cwd=tmp_path)
    assert code == 2
    assert f"{tmp_path / 'file'}: Not a directory" in said


def test_a_node_that_is_stopped_starts_again_with_its_rows(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=1) as cluster:
        [node] = cluster.nodes
        with Frontend.connect(node.pg.port) as db:
            db.query("CREATE TABLE kept (k int PRIMARY KEY)")
            db.query("INSERT INTO kept VALUES (1), (2)")
        assert node.stop() == 0
        node.start()
        node.wait_ready()
        with Frontend.connect(node.pg.port) as db:
            assert db.query("SELECT k FROM kept ORDER BY k").values() == [("1",), ("2",)]


def test_sessions_are_told_when_the_node_stops(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=1) as cluster:
        [node] = cluster.nodes
        with Frontend.connect(node.pg.port) as idle:
            node.ask_to_stop()
            answer = idle.rest()
            assert [e["C"] for e in answer.errors] in ([], ["57P01"])
        assert node.wait_stopped() == 0


def can_connect(node: NodeProcess) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((node.admin.host, node.admin.port)) == 0


def get(node: NodeProcess, path: str) -> dict[str, Any]:
    """Return what the admin door answers."""
    connection = http.client.HTTPConnection(node.admin.host, node.admin.port, timeout=REFUSE_S)
    try:
        connection.request("GET", path)
        answer: dict[str, Any] = json.load(connection.getresponse())
        return answer
    finally:
        connection.close()


def test_a_node_that_waits_for_others_is_alive_and_says_for_whom(tmp_path: Path) -> None:
    world = RealWorld.make()
    cluster = Cluster(tmp_path, nodes=3, clock=world.clock, random=world.random)
    first, *others = cluster.nodes
    first.start()
    try:
        wait_until(first, "its admin door listens", lambda: can_connect(first))
        # It asks them at once, and hears of one before the other.
        awaited = [f"{node.peer} (does not answer)" for node in others]
        wait_until(
            first,
            f"it waits for {awaited}",
            lambda: all(one in get(first, "/readiness").get("why", "") for one in awaited),
        )
        told = get(first, "/readiness")
        assert (told["ready"], told["state"]) == (False, "starting")
        [member] = get(first, "/cluster")["members"]
        assert (member["name"], member["state"]) == (first.name, "starting")
    finally:
        assert cluster.end() == [0, None, None]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_member_that_missed_the_formation_learns_of_it_in_a_later_life(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        for node in cluster.nodes:
            node.stop()
        late = cluster.nodes[2]
        # What is left is what it had before: its name. Nothing was acknowledged meanwhile.
        for path in late.directory.iterdir():
            if path.name != "candidate":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.wait_ready()
        late.stop()
        shutil.rmtree(late.directory)
        late.start()
        with pytest.raises(NodeFailed):
            late.wait_ready()
        assert late.stop() == 3
        assert "was formed without this node" in late.log_tail()
