"""The demo from beginning to end: start, load, ask, trouble, verdict."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from phantomdb.base.errors import InUse, PhantomError
from phantomdb.base.world import Clock, Random
from phantomdb.client.processes import Cluster
from phantomdb.demo import flights, trouble
from phantomdb.demo.check import Check, Checks
from phantomdb.demo.load import Loader, compare_counts
from phantomdb.demo.oracle import Oracle, differences
from phantomdb.demo.output import Output
from phantomdb.demo.questions import QUESTIONS
from phantomdb.demo.sessions import DATABASE, connect, explain

#: Rows of an answer that are shown; all are compared.
SHOWN_ROWS = 6
#: Between two looks whether all processes of a kept cluster still run, in seconds.
KEEP_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo was told; `rows_max` bounds each table, `directory` is kept if it is given."""

    nodes: int
    kill_leader: bool
    keep: bool
    directory: Path | None
    rows_max: int | None

    def __post_init__(self) -> None:
        assert self.nodes > 1 or not self.kill_leader, "one node has nobody to take over"


class DemoFailed(PhantomError):
    """A statement or a connection failed that had to succeed."""


class Demo:
    """One run."""

    def __init__(self, plan: Plan, output: Output, clock: Clock, random: Random) -> None:
        self._plan = plan
        self._output = output
        self._clock = clock
        self._random = random
        self._checks = Checks(output)

    def run(self) -> list[Check]:
        """Do everything and return what did not hold.

        Raises `DataMissing` and other errors for what kept it from being tried. The processes are
        ended in any case; a directory of its own is kept after a failure, for its logs.
        """
        plan, output = self._plan, self._output
        start_ns = self._clock.monotonic_ns()
        folder = flights.find()
        with self._directory() as directory:
            cluster = Cluster(directory, nodes=plan.nodes, clock=self._clock, random=self._random)
            output.heading(f"A cluster of {plan.nodes} in {directory}")
            with cluster:
                try:
                    self._run_on(cluster, folder)
                except (psycopg.Error, PhantomError) as error:
                    cluster.watch(0)  # A node that has ended explains more than what it led to.
                    if isinstance(error, psycopg.Error):
                        raise DemoFailed(explain(error)) from error
                    raise
                seconds = (self._clock.monotonic_ns() - start_ns) / 1e9
                self._sum_up(seconds)
                if plan.keep:
                    self._keep(cluster)
        return self._checks.failed

    def _run_on(self, cluster: Cluster, folder: Path) -> None:
        plan, output, checks = self._plan, self._output, self._checks
        output.table(
            ("node", "pid", "psql", "admin"),
            [
                (node.name, str(node.pid), _url(node.pg.port), f"http://{node.admin}/cluster")
                for node in cluster.nodes
            ],
        )
        oracle = Oracle()
        output.heading("Load: what left New York's airports in 2013")
        Loader(cluster, output, self._clock).load(folder, oracle, checks, rows_max=plan.rows_max)
        output.heading("Questions, with SQLite's answers beside")
        self._ask(cluster, oracle)
        if plan.kill_leader:
            output.heading("Trouble: kill -9 of the leader, in the middle of writes")
            trouble.kill_leader(cluster, output, checks, self._clock)
            wanted = [oracle.count(table) for table in flights.TABLES]
            name = "every node still counts all rows"
            compare_counts(name, cluster.nodes, wanted, checks)

    def _ask(self, cluster: Cluster, oracle: Oracle) -> None:
        for at, question in enumerate(QUESTIONS, start=1):
            node = cluster.nodes[at % len(cluster.nodes)]
            name = f"answer {at} is SQLite's"
            self._output.say("")
            self._output.say(f"{at}. {question.title}")
            with connect(node.pg) as connection:
                start_ns = self._clock.monotonic_ns()
                try:
                    cursor = connection.execute(question.sql)
                    rows = cursor.fetchall()
                except psycopg.Error as error:
                    self._checks.add(name, holds=False, detail=explain(error))
                    continue
                took_ms = (self._clock.monotonic_ns() - start_ns) / 1e6
                columns = [column.name for column in cursor.description or ()]
            wrong = differences(rows, oracle.answer(question.oracle_sql))
            self._output.table(columns, rows, rows_max=SHOWN_ROWS)
            detail = "; ".join(wrong) or f"rows: {len(rows)}, {took_ms:,.0f} ms on {node.name}"
            self._checks.add(name, holds=not wrong, detail=detail)

    def _sum_up(self, seconds: float) -> None:
        checks = self._checks
        self._output.heading("Summary")
        for check in checks.failed:
            self._output.verdict(check.name, holds=False, detail=check.detail)
        held = len(checks.done) - len(checks.failed)
        self._output.say(f"{held} of {len(checks.done)} checks hold; {seconds:.0f} s.")

    def _keep(self, cluster: Cluster) -> None:
        """Leave the cluster running until it is interrupted or one of its nodes ends."""
        url = _url(cluster.nodes[0].pg.port)
        self._output.say(f"The cluster stays: psql {url}. Ctrl-C ends it.")
        try:
            while True:
                cluster.watch(KEEP_LOOK_S)
        except KeyboardInterrupt:
            self._output.say("Ending it.")

    @contextmanager
    def _directory(self) -> Iterator[Path]:
        """Give a directory for the nodes: the one that was named, or one that goes at the end."""
        named = self._plan.directory
        if named is not None:
            named.mkdir(parents=True, exist_ok=True)
            if any(named.iterdir()):
                raise InUse(
                    f"{named} is not empty",
                    hint="The demo starts with nothing; name a new directory.",
                )
            yield named.resolve()
            return
        own = Path(tempfile.mkdtemp(prefix="phantomdb-demo-"))
        is_wanted = True  # Whatever goes wrong, its logs say more.
        try:
            yield own
            is_wanted = self._plan.keep or bool(self._checks.failed)
        except KeyboardInterrupt:
            is_wanted = False
            raise
        finally:
            if is_wanted:
                self._output.say(f"Data and logs of the nodes stay in {own}.")
            else:
                shutil.rmtree(own, ignore_errors=True)


def _url(port: int) -> str:
    return f"postgresql://demo@127.0.0.1:{port}/{DATABASE}"
