"""Route: all that a query touches is in one group, so the whole query is one fragment there.

It is the only strategy so far: every table has one shard, in the first group of its colocation set.
"""

from collections.abc import Mapping

from phantomdb.planning.plan import (
    GATEWAY,
    DistributedPlan,
    Fragment,
    Output,
    PlanError,
    Query,
)


def plan(query: Query, groups: Mapping[int, int]) -> DistributedPlan:
    """Return the plan of a query; `groups` maps colocation sets to their group.

    Raises `PlanError` for a query over several groups.
    """
    used = {groups[relation.colocation] for relation in query.relations}
    if len(used) > 1:
        raise PlanError("a query over tables of several groups is not supported")
    shards = used.pop() if used else GATEWAY
    return DistributedPlan((Fragment(shards, Output.GATHER),))
