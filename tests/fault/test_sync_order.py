"""An answer comes after two of three nodes have ended a sync that began for it.

Every node runs under `strace`, which writes down when each sync began and how long it took, on the
clock that the client reads too. Statements go one after another. For each there must be two nodes
with a sync that began after the statement was sent and ended before its answer had come: a sync of
the statement before, should that have been answered too early, does not fit in between.
"""

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest
from kit.cluster import running_cluster, session
from kit.steady import LEADER_CHANGED, settled

from phantomdb.client.processes import COMMAND, Cluster

INSERTS = 30
MAJORITY = 2
#: How long strace may take to write the last line after its node has ended.
TRACE_ENDS_S = 45.0
#: What it is asked for: syncs, seen by a process that is no parent of the node.
STRACE = "strace -D -f --seccomp-bpf -ttt -T -e trace=fdatasync,fsync -e signal=none"
#: A line of `strace -f -ttt -T`: thread, stamp, and a sync whole or in two parts.
WHOLE = re.compile(r"(\d+) +(\d+\.\d+) f(?:data)?sync\(\d+\) += 0 <(\d+\.\d+)>")
BEGUN = re.compile(r"(\d+) +(\d+\.\d+) f(?:data)?sync\(\d+ <unfinished \.\.\.>")
ENDED = re.compile(r"(\d+) +(\d+\.\d+) <\.\.\. f(?:data)?sync resumed>\) += 0 <\d+\.\d+>")


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync of one node, in seconds since the epoch."""

    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Insert:
    """A statement that was acknowledged."""

    sent: float
    answered: float


def read_syncs(trace: str) -> list[Sync]:
    """Return the syncs that succeeded."""
    found = []
    begun: dict[str, float] = {}
    for line in trace.splitlines():
        if whole := WHOLE.match(line):
            began = float(whole[2])
            found.append(Sync(began, began + float(whole[3])))
        elif first := BEGUN.match(line):
            begun[first[1]] = float(first[2])
        elif last := ENDED.match(line):
            found.append(Sync(begun.pop(last[1]), float(last[2])))
    return found


def ends(insert: Insert, nodes: Sequence[Sequence[Sync]]) -> list[float]:
    """Return when nodes had first ended a sync for the statement, of those that did, in order."""
    first = (
        min((sync.ended for sync in syncs if sync.began > insert.sent), default=float("inf"))
        for syncs in nodes
    )
    return sorted(end for end in first if end < insert.answered)


def answered_too_early(inserts: Sequence[Insert], nodes: Sequence[Sequence[Sync]]) -> list[Insert]:
    """Return the statements that were answered before a majority had synced."""
    return [insert for insert in inserts if len(ends(insert, nodes)) < MAJORITY]


def insert_all(cluster: Cluster) -> list[Insert]:
    inserts: list[Insert] = []
    rows = count()
    with session(cluster.nodes[0]) as db:
        table = "CREATE TABLE IF NOT EXISTS rows (id int4 PRIMARY KEY, v text)"
        settled(lambda: db.execute(table))
        while len(inserts) < INSERTS:
            sent = time.time()
            try:
                db.execute("INSERT INTO rows VALUES ($1, 'a row')", (next(rows),))
            except psycopg.Error as error:
                # Not acknowledged, and its row is perhaps there: the next has another.
                if error.sqlstate not in LEADER_CHANGED:
                    raise
            else:
                inserts.append(Insert(sent, time.time()))
    return inserts


def traced(directory: Path) -> tuple[str, ...]:
    """Return the command that runs a node, and writes its syncs into `directory`, named by pid.

    With -D it is strace that is the child, so the pid is the node's own.
    """
    return ("sh", "-c", f'exec {STRACE} -o "{directory}/$$" "$@"', "sh", *COMMAND)


def whole_trace(path: Path) -> str:
    """Return what strace wrote, once it has written that the node ended."""
    deadline, look_again = time.monotonic() + TRACE_ENDS_S, threading.Event()
    while f"{path.name} +++ exited with 0 +++" not in re.sub(
        r" +\d+\.\d+ ", " ", trace := path.read_text()
    ):
        assert time.monotonic() < deadline, f"the trace does not end: {trace[-300:]}"
        look_again.wait(0.02)
    return trace


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_answer_comes_after_a_sync_on_two_of_three_nodes(tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    with running_cluster(tmp_path, command=traced(traces)) as cluster:
        paths = [traces / str(node.pid) for node in cluster.nodes]
        inserts = insert_all(cluster)
    nodes = [read_syncs(whole_trace(path)) for path in paths]
    assert all(nodes), "strace saw no sync of some node"
    assert answered_too_early(inserts, nodes) == []
    # The check itself: it tells when answers come a moment before the second sync has ended.
    early = [Insert(one.sent, ends(one, nodes)[MAJORITY - 1] - 1e-6) for one in inserts]
    assert answered_too_early(early, nodes) == early
