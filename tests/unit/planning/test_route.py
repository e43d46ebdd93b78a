import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantomdb.planning import route
from phantomdb.planning.plan import (
    GATEWAY,
    Command,
    DistributedPlan,
    Fragment,
    Output,
    PlanError,
    Query,
    Relation,
)

GROUPS = {1: 2, 5: 2, 9: 3}


def query(*colocations: int) -> Query:
    return Query(Command.SELECT, tuple(Relation(16_384 + c, 1, c, 16_385 + c) for c in colocations))


def test_a_query_without_tables_runs_at_the_gateway() -> None:
    assert route.plan(query(), GROUPS) == DistributedPlan((Fragment(GATEWAY, Output.GATHER),))


@given(st.lists(st.sampled_from([1, 5]), min_size=1))
def test_a_query_in_one_group_is_one_fragment_there(colocations: list[int]) -> None:
    plan = route.plan(query(*colocations), GROUPS)
    assert plan == DistributedPlan((Fragment(2, Output.GATHER),))
    assert plan.encode() == route.plan(query(*colocations), GROUPS).encode()


def test_a_query_over_two_groups_is_not_supported() -> None:
    with pytest.raises(PlanError) as caught:
        route.plan(query(1, 9), GROUPS)
    assert caught.value.sqlstate == "0A000"


def test_a_query_is_read_as_the_session_sends_it() -> None:
    sent = cbor2.dumps([1, 2, [[16_384, 3, 1, 16_385]]])
    assert Query.decode(sent) == Query(Command.UPDATE, (Relation(16_384, 3, 1, 16_385),))


def test_the_bytes_of_a_plan_are_what_the_session_reads() -> None:
    assert DistributedPlan((Fragment(2, Output.GATHER),)).encode().hex() == "820181820200"
