import json
import sys
from pathlib import Path

import pytest
from kit import stand_in
from kit.cluster import running_cluster

from phantomdb.base.world import Address
from phantomdb.client import view
from phantomdb.client.processes import Cluster, free_ports
from phantomdb.node.world import RealWorld

GOOD = (sys.executable, "-S", "-E", stand_in.__file__, "good")


def tell(cluster: Cluster, at: int, answer: object) -> None:
    """Make a node answer `/cluster` with this."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    cluster.nodes[at].directory.with_suffix(".cluster").write_text(text)


def member(cluster: Cluster, at: int, *, state: str = "running") -> dict[str, object]:
    node = cluster.nodes[at]
    return {
        "name": node.name,
        "role": "replica",
        "state": state,
        "host": node.pg.host,
        "port": node.pg.port,
        "api_url": f"http://{node.admin}/",
        "timeline": 5,
        "lag": 0 if state == "running" else "unknown",
    }


def group(number: int, leader: str | None, lags: dict[str, int]) -> dict[str, object]:
    replicas = [{"node": node, "applied": 100 - lag, "lag": lag} for node, lag in lags.items()]
    return {"id": number, "leader": leader, "term": 5, "replicas": replicas}


def test_replicas_are_told_by_the_leader_of_their_group(tmp_path: Path):
    with running_cluster(tmp_path, nodes=2, command=GOOD) as cluster:
        members = [member(cluster, 0), member(cluster, 1)]
        own = [group(1, "n1", {"n1": 0, "n2": 3}), group(2, "n2", {"n1": 9})]
        other = [group(1, "n1", {"n2": 8}), group(2, "n2", {"n1": 4, "n2": 0})]
        tell(cluster, 0, {"members": members, "groups": own})
        tell(cluster, 1, {"members": members, "groups": other})
        found = view.look(cluster.nodes[0].admin, 5.0)
        assert [g.id for g in found.groups] == [1, 2]
        assert [found.lag(name) for name in ("n1", "n2", "n3")] == [4, 3, None]
        assert found.problems() == []


def test_a_silent_leader_leaves_what_others_know(tmp_path: Path):
    with running_cluster(tmp_path, nodes=2, command=GOOD) as cluster:
        members = [member(cluster, 0), member(cluster, 1, state="unreachable")]
        groups = [group(1, None, {"n1": 0}), group(2, "n2", {"n1": 9})]
        tell(cluster, 0, {"members": members, "groups": groups})
        cluster.nodes[1].kill()
        found = view.look(cluster.nodes[0].admin, 5.0)
        assert found.group(2).replicas == (view.Replica("n1", 91, 9),)
        assert found.members[1].lag is None
        assert found.problems() == ["n2 is unreachable", "group 1 has no leader"]


def test_a_group_that_is_not_there_is_an_error():
    with pytest.raises(view.NoSuchGroup):
        view.ClusterView((), ()).group(2)


@pytest.mark.parametrize(
    "answer",
    ["{", "[]", "7", '{"members": []}', '{"members": [{}], "groups": []}', '{"members": 3}'],
)
def test_an_answer_that_is_not_a_nodes_is_told_so(tmp_path: Path, answer: str):
    with running_cluster(tmp_path, nodes=1, command=GOOD) as cluster:
        tell(cluster, 0, answer)
        with pytest.raises(view.NotANode, match="does not answer as a PhantomDB node"):
            view.ask(cluster.nodes[0].admin, 5.0)


def test_nobody_there_is_told_with_a_hint():
    [port] = free_ports(1, RealWorld.make().random)
    with pytest.raises(view.Unreachable, match="nobody answers") as caught:
        view.ask(Address("127.0.0.1", port), 5.0)
    assert "--listen-admin" in caught.value.hint
    assert not view.is_ready(Address("127.0.0.1", port), 5.0)
