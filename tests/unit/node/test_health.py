"""What leaders report of their groups, and what is no report."""

from typing import Any

import pytest

from phantomdb.node.health import Member, NodeHealth


class StubbornNode:
    """A core that follows node 2 in one group and never changes its mind."""

    id = 1
    cluster = 7

    def status(self) -> list[dict[str, Any]]:
        group = {"id": 2, "leader": 2, "term": 5, "commit": 9, "applied": 8, "members": []}
        return [group]


def health() -> NodeHealth:
    members = {n: Member(n, f"n{n}", "", "", "") for n in (1, 2)}
    node: Any = StubbornNode()
    return NodeHealth(node, lambda: members, lambda: frozenset({2}), lambda: (b"", ""))


def test_a_follower_shows_what_the_leader_of_this_term_has_told() -> None:
    told = health()
    told.heard([[2, 5, 10, [[1, 8], [2, 10]]]])
    assert told.cluster()["groups"][0]["replicas"] == [
        {"node": "n1", "applied": 8, "lag": 2},
        {"node": "n2", "applied": 10, "lag": 0},
    ]
    told.heard([[2, 4, 99, [[1, 99]]]])
    own = told.cluster()["groups"][0]["replicas"]
    assert own == [{"node": "n1", "applied": 8, "lag": 1}], "a report of an older term is none"


@pytest.mark.parametrize("report", [[[2, 5, "x", []]], [[2, 5, 1, [[1, None]]]], [5], [[2, 5]]])
def test_what_is_no_report_is_refused_and_nothing_is_shown_of_it(report: list[Any]) -> None:
    told = health()
    with pytest.raises((TypeError, ValueError)):
        told.heard(report)
    assert told.cluster()["groups"][0]["replicas"] == [{"node": "n1", "applied": 8, "lag": 1}]
