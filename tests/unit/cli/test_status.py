import json
import sys
from pathlib import Path

from click.testing import CliRunner
from kit import stand_in
from kit.cluster import running_cluster

from phantomdb.cli.status import status
from phantomdb.client.processes import free_ports
from phantomdb.node.world import RealWorld

GOOD = (sys.executable, "-S", "-E", stand_in.__file__, "good")


def test_a_healthy_cluster_is_shown_and_the_answer_is_yes(tmp_path: Path):
    with running_cluster(tmp_path, nodes=1, command=GOOD) as cluster:
        result = CliRunner().invoke(status, ["--address", str(cluster.nodes[0].admin)])
    assert result.exit_code == 0
    assert "healthy" in result.stdout
    for word in ("member", "n1", "leader", "running", "group", "replica", "applied", "lag"):
        assert word in result.stdout


def test_programs_get_one_object(tmp_path: Path):
    with running_cluster(tmp_path, nodes=1, command=GOOD) as cluster:
        result = CliRunner().invoke(status, ["--address", str(cluster.nodes[0].admin), "--json"])
    [line] = result.stdout.splitlines()
    told = json.loads(line)
    assert told["healthy"] is True
    assert told["members"][0]["name"] == "n1"
    assert told["groups"][1]["replicas"] == [{"node": "n1", "applied": 7, "lag": 0}]


def test_a_group_without_a_leader_makes_the_answer_no(tmp_path: Path):
    with running_cluster(tmp_path, nodes=1, command=GOOD) as cluster:
        [node] = cluster.nodes
        groups = [{"id": 2, "leader": None, "term": 3, "replicas": []}]
        told = json.dumps({"members": [], "groups": groups})
        node.directory.with_suffix(".cluster").write_text(told)
        result = CliRunner().invoke(status, ["--address", str(node.admin)])
        as_json = CliRunner().invoke(status, ["--address", str(node.admin), "--json"])
    assert result.exit_code == as_json.exit_code == 1
    assert "group 2 has no leader" in result.stdout
    assert json.loads(as_json.stdout)["problems"] == ["group 2 has no leader"]


def test_nobody_there_is_refused_with_a_hint():
    [port] = free_ports(1, RealWorld.make().random)
    result = CliRunner().invoke(status, ["--address", f"127.0.0.1:{port}"])
    assert result.exit_code == 3
    assert "nobody answers" in result.stderr
    assert "--listen-admin" in result.stderr
    assert result.stdout == ""


def test_an_address_without_a_port_is_a_mistake_of_usage():
    result = CliRunner().invoke(status, ["--address", "localhost"])
    assert result.exit_code == 2
    assert "HOST:PORT" in result.stderr
