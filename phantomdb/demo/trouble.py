"""The trouble: a leader is killed while somebody writes.

One writer inserts numbered rows, one statement at a time, through a node that stays. In the middle
the leader of the rows' group gets SIGKILL. The writer never repeats a number: each is acknowledged,
refused or unknown, and stays what it was. Then

- what was acknowledged must be there, and what was refused must not; unknown is either;
- the killed node, started again on its directory, must catch up;
- every node must show the same rows.

The gap is the longest time between two acknowledgements: what the writer noticed of it all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import psycopg

from phantomdb.base.errors import PhantomError
from phantomdb.base.world import Clock
from phantomdb.client import view
from phantomdb.client.processes import Cluster, Deadline, NodeProcess
from phantomdb.demo.check import Checks
from phantomdb.demo.load import Watch
from phantomdb.demo.output import Output
from phantomdb.demo.sessions import Connection, Outcome, connect, explain, outcome

#: The group that holds the rows of all tables.
ROWS_GROUP = 2
#: Acknowledged writes before the kill, and after it.
WRITES = 500
#: How long the cluster may take to acknowledge again; then the demo gives up on it.
RECOVER_S = 60.0
#: How long the killed node may take to catch up.
CATCH_UP_S = 60.0
#: Between two tries of what is refused, and two looks at a node, in seconds.
AGAIN_S = 0.02
#: How long an admin door may take to answer.
LOOK_S = 2.0

_CREATE = "CREATE TABLE demo_writes (n int8 PRIMARY KEY, sent timestamptz NOT NULL)"
_WRITE = "INSERT INTO demo_writes VALUES ($1, now())"
_READ = "SELECT n FROM demo_writes ORDER BY n"


class NoRecovery(PhantomError):
    """The cluster did not become what it must become in time."""


@dataclass(slots=True)
class Writes:
    """What became of each number, and when acknowledgements came."""

    acknowledged: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    acknowledged_at_ns: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many numbers were used."""
        return len(self.acknowledged) + len(self.unknown) + len(self.refused)

    def gap_s(self) -> float:
        """Return the longest time between two acknowledgements, in seconds."""
        pairs = pairwise(self.acknowledged_at_ns)
        return max((later - sooner for sooner, later in pairs), default=0) / 1e9

    def wrong(self, there: Sequence[int]) -> list[str]:
        """Return in words what rows that were read say against this history."""
        lost = set(self.acknowledged) - set(there)
        ghosts = set(there) - set(self.acknowledged) - set(self.unknown)
        twice = len(there) - len(set(there))
        found = [
            f"{len(lost)} acknowledged rows are missing, the first is {min(lost)}" if lost else "",
            f"{len(ghosts)} rows that were refused are there: {min(ghosts)}" if ghosts else "",
            f"{twice} rows come twice" if twice else "",
        ]
        return [text for text in found if text]


class Writer:
    """Inserts numbered rows through one node."""

    def __init__(self, node: NodeProcess, watch: Watch, clock: Clock) -> None:
        self.node = node
        self._watch = watch
        self.writes = Writes()
        self._clock = clock
        self._connection: Connection | None = None

    def write_until(self, acknowledged: int) -> None:
        """Write until so many are acknowledged; raises `NoRecovery`, `NodeFailed`."""
        deadline = Deadline(self._clock, RECOVER_S)
        while len(self.writes.acknowledged) < acknowledged:
            if self._write_one():
                deadline = Deadline(self._clock, RECOVER_S)
            elif not deadline.left_s:
                last = self.writes.errors[-1] if self.writes.errors else "no connection"
                raise NoRecovery(
                    f"no write was acknowledged for {RECOVER_S:g} s", hint=f"The last: {last}"
                )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _write_one(self) -> bool:
        writes = self.writes
        try:
            self._connection = self._connection or connect(self.node.pg)
        except psycopg.OperationalError as error:
            writes.errors.append(explain(error))
            self._watch(AGAIN_S)
            return False
        number = writes.count + 1
        try:
            self._connection.execute(_WRITE, [number])
        except psycopg.Error as error:
            writes.errors.append(explain(error))
            is_unknown = outcome(error, self._connection) is Outcome.UNKNOWN
            (writes.unknown if is_unknown else writes.refused).append(number)
            if self._connection.closed:
                self.close()
            self._watch(AGAIN_S)
            return False
        writes.acknowledged.append(number)
        writes.acknowledged_at_ns.append(self._clock.monotonic_ns())
        return True


def kill_leader(cluster: Cluster, output: Output, checks: Checks, clock: Clock) -> None:
    """Kill the leader of the rows' group under a writer, and check everything after."""
    with connect(cluster.nodes[0].pg) as connection:
        connection.execute(_CREATE)
    leader = _leader(cluster, clock)
    others = [node for node in cluster.nodes if node is not leader]
    writer = Writer(others[0], cluster.watch, clock)
    try:
        writer.write_until(WRITES)
        output.say(f"{writer.node.name} takes {WRITES} writes; {leader.name} leads their group.")
        output.say(f"kill -9 {leader.pid} ({leader.name}), in the middle of a write.")
        leader.kill_soon()
        writer.write_until(2 * WRITES)
        leader.kill()
    finally:
        writer.close()
    _tell(writer.writes, output)
    for node in others:
        _check_rows(node, writer.writes, checks, when=f"while {leader.name} is down")
    _restart(cluster, leader, output, checks, clock)
    when = f"with {leader.name} back"
    rows = {
        node.name: _check_rows(node, writer.writes, checks, when=when) for node in cluster.nodes
    }
    counts = ", ".join(f"{name} {len(read)}" for name, read in rows.items())
    same = all(read == rows[leader.name] for read in rows.values())
    checks.add("all nodes show the same rows", holds=same, detail=counts)


def _tell(writes: Writes, output: Output) -> None:
    times = writes.acknowledged_at_ns[:WRITES]
    mean_ms = (times[-1] - times[0]) / (len(times) - 1) / 1e6
    output.table(
        ("writes", "acknowledged", "refused", "unknown", "mean gap ms", "longest gap ms"),
        [
            (
                writes.count,
                len(writes.acknowledged),
                len(writes.refused),
                len(writes.unknown),
                f"{mean_ms:.1f}",
                f"{writes.gap_s() * 1e3:,.0f}",
            )
        ],
    )
    for text in sorted(set(writes.errors)):
        output.say(f"{writes.errors.count(text)} x {text}")


def _leader(cluster: Cluster, clock: Clock) -> NodeProcess:
    """Return the node that leads the rows' group; waits for one."""
    first = cluster.nodes[0]
    deadline = Deadline(clock, RECOVER_S)
    while deadline.left_s:
        name = view.ask(first.admin, LOOK_S).group(ROWS_GROUP).leader
        if name is not None:
            return cluster.node(name)
        cluster.watch(AGAIN_S)
    raise NoRecovery(f"group {ROWS_GROUP} has no leader after {RECOVER_S:g} s")


def _restart(
    cluster: Cluster, node: NodeProcess, output: Output, checks: Checks, clock: Clock
) -> None:
    """Start a killed node on its directory and ports and wait until it misses nothing."""
    asked = next(other for other in cluster.nodes if other is not node)
    start_ns = clock.monotonic_ns()
    node.start()
    node.wait_ready()
    ready_s = (clock.monotonic_ns() - start_ns) / 1e9
    deadline = Deadline(clock, CATCH_UP_S)
    lag = None
    while deadline.left_s and lag != 0:
        cluster.watch(AGAIN_S)
        lag = view.look(asked.admin, LOOK_S).lag(node.name)
    total_s = (clock.monotonic_ns() - start_ns) / 1e9
    output.say(f"{node.name} is started again: serves after {ready_s:.1f} s.")
    detail = f"after {total_s:.1f} s" if lag == 0 else f"lag {lag} after {CATCH_UP_S:g} s"
    checks.add(f"{node.name} catches up", holds=lag == 0, detail=detail)


def _check_rows(node: NodeProcess, writes: Writes, checks: Checks, *, when: str) -> list[int]:
    with connect(node.pg) as connection:
        there = [number for (number,) in connection.execute(_READ)]
    wrong = writes.wrong(there)
    detail = "; ".join(wrong) or f"{len(writes.acknowledged):,}"
    checks.add(f"{node.name} has every acknowledged row, {when}", holds=not wrong, detail=detail)
    return there
