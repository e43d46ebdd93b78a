"""Real nodes for tests: processes of the installed `phantomdb`, troubled by signals.

    with running_cluster(tmp_path) as cluster:
        leader = leader_of(cluster, ROWS_GROUP)
        with session(cluster.nodes[0]) as db:
            db.execute("CREATE TABLE t (k int4 PRIMARY KEY)")
        leader.kill(); leader.start(); leader.wait_ready()

Nodes have fresh directories and free ports, are waited for by what they say, and are ended by pid
on the way out. A test that fails shows the end of each node's log; a node that does not stop by
itself when it is asked to fails the test.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from phantomdb.client import view
from phantomdb.client.processes import (
    COMMAND,
    MEMORY_BYTES,
    SQL_MEMORY_BYTES,
    Cluster,
    Deadline,
    NodeProcess,
)
from phantomdb.demo.sessions import Connection, connect
from phantomdb.node.world import RealWorld

#: The group of the catalog, and the one that holds the rows of all tables.
SYSTEM_GROUP, ROWS_GROUP = 1, 2
#: How long a cluster may take to become what a test waits for.
WAIT_S = 45.0
#: Between two looks, in seconds.
LOOK_AGAIN_S = 0.02
#: How long an admin door may take to answer.
LOOK_S = 10.0
#: How long a statement may take, in seconds; one waits up to 10 s for a leader.
STATEMENT_S = 45

_WORLD = RealWorld.make()


@contextmanager
def running_cluster(
    directory: Path,
    *,
    nodes: int = 3,
    command: Sequence[str] = COMMAND,
    memory_bytes: int = MEMORY_BYTES,
    sql_memory_bytes: int = SQL_MEMORY_BYTES,
) -> Iterator[Cluster]:
    """Run a cluster that serves; afterwards its nodes are ended and have ended well."""
    cluster = Cluster(
        directory,
        nodes=nodes,
        clock=_WORLD.clock,
        random=_WORLD.random,
        command=command,
        memory_bytes=memory_bytes,
        sql_memory_bytes=sql_memory_bytes,
    )
    try:
        with cluster:
            yield cluster
            codes = cluster.end()
            names = [node.name for node in cluster.nodes]
            # None: the test had ended it already.
            assert set(codes) <= {0, None}, f"exit codes of {names} after SIGTERM: {codes}"
    except BaseException as error:
        for node in cluster.nodes:
            error.add_note(f"--- end of {node.log}\n{node.log_tail()}")
        raise


def session(node: NodeProcess, *, statement_timeout_s: int = STATEMENT_S) -> Connection:
    """Open a connection in autocommit, in UTC."""
    return connect(node.pg, statement_timeout_s=statement_timeout_s)


def wait_until(
    node: NodeProcess, what: str, holds: Callable[[], bool], *, seconds: float = WAIT_S
) -> None:
    """Wait until something holds, for as long as `node` lives; fails naming `what`.

    A door that is silent has not said so yet.
    """
    deadline = Deadline(_WORLD.clock, seconds)
    while not _has_said(holds):
        assert deadline.left_s, f"not within {seconds:g} s: {what}"
        node.watch(LOOK_AGAIN_S)


def _has_said(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except view.NotANode:
        raise
    except view.Unreachable:
        return False


def wait_ready(node: NodeProcess, *, seconds: float = WAIT_S) -> None:
    """Wait until a node's `/readiness` says so: after `resume`, or when a leader is gone."""
    wait_until(
        node, f"{node.name} is ready", lambda: view.is_ready(node.admin, LOOK_S), seconds=seconds
    )


def leader_of(cluster: Cluster, group: int, *, without: Sequence[NodeProcess] = ()) -> NodeProcess:
    """Return the node that leads a group; waits until it is none of those in `without`."""
    asked = next(n for n in cluster.nodes if n.is_running and n not in without)
    avoid = {node.name for node in without}
    found: list[str] = []

    def is_known() -> bool:
        leader = view.ask(asked.admin, LOOK_S).group(group).leader
        if leader is not None and leader not in avoid:
            found.append(leader)
        return bool(found)

    wait_until(asked, f"group {group} has a leader that is none of {avoid or 'nobody'}", is_known)
    return cluster.node(found[-1])


def wait_caught_up(cluster: Cluster, node: NodeProcess, *, seconds: float = WAIT_S) -> None:
    """Wait until the leaders say that a node misses nothing."""
    # Another node is asked: one that has just come knows nobody's admin address yet.
    asked = next(n for n in cluster.nodes if n.is_running and n is not node)
    wait_until(
        node,
        f"{node.name} misses nothing",
        lambda: view.look(asked.admin, LOOK_S).lag(node.name) == 0,
        seconds=seconds,
    )
