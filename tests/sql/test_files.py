"""Each statement of the files beside, on PostgreSQL 15 and on PhantomDB: the same answer."""

import re
from pathlib import Path

import pytest
from kit.cluster import ROWS_GROUP, leader_of
from kit.frontend import Frontend
from kit.sqlfile import ask, brief, compare, differences, statements
from kit.steady import settled, undisturbed

from phantomdb.client.processes import Cluster, NodeProcess

HERE = Path(__file__).parent
FILES = sorted(path.name for path in HERE.glob("*.sql"))
DIFFERENCES = HERE / "differences.toml"
_TABLE = re.compile(r'\bCREATE TABLE (?:IF NOT EXISTS )?("[^"]+"|[\w.]+)', re.IGNORECASE)


def run_file(name: str, protocol: str, wanted: Frontend, found: Frontend) -> None:
    """Run a file on both; fails with all that differs."""
    path = HERE / name
    meant = differences(DIFFERENCES)
    wrong = []
    tables: set[str] = set()
    try:
        for statement in statements(path):
            sql = statement.sql
            tables |= set(_TABLE.findall(sql))
            theirs, ours = ask(wanted, sql, protocol), ask(found, sql, protocol)
            if ours.sqlstate != theirs.sqlstate:  # Read-only transactions have one of its codes.
                undisturbed(ours)
            differs = compare(theirs, ours, sql)
            if sql in meant:
                answer = meant[sql]["answer"]
                if protocol == "simple" and brief(ours) != answer:
                    wrong.append(f"{name}:{statement.line}: {sql}\n  {brief(ours)}, not {answer}")
                elif not differs:
                    wrong.append(f"{name}:{statement.line}: {sql}\n  differs no more")
            elif differs:
                wrong.append("\n".join([f"{name}:{statement.line}: {sql}", *differs]))
    finally:
        for frontend in (wanted, found):
            for table in sorted(tables):
                frontend.query(f"DROP TABLE IF EXISTS {table}")
    if wrong:
        pytest.fail("\n".join([f"{len(wrong)} differ", *wrong]), pytrace=False)


@pytest.mark.parametrize("protocol", ["simple", "text", "binary"])
@pytest.mark.parametrize("name", FILES)
def test_a_statement_has_postgresqls_answer(
    oracle: int, node: NodeProcess, name: str, protocol: str
) -> None:
    with Frontend.connect(oracle) as wanted, Frontend.connect(node.pg.port) as found:
        run_file(name, protocol, wanted, found)


@pytest.fixture(scope="module")
def follower(shared_cluster: Cluster) -> NodeProcess:
    """Give a node that leads no rows: it sends every statement to another."""
    leader = leader_of(shared_cluster, ROWS_GROUP)
    return next(node for node in shared_cluster.nodes if node is not leader)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_follower_has_postgresqls_answer(oracle: int, follower: NodeProcess, name: str) -> None:
    def run() -> None:
        with Frontend.connect(oracle) as wanted, Frontend.connect(follower.pg.port) as found:
            run_file(name, "simple", wanted, found)

    # From its beginning: what a statement left in doubt is in the way of the next.
    settled(run)


def test_every_difference_is_of_a_statement() -> None:
    known = {s.sql for name in FILES for s in statements(HERE / name)}
    assert not differences(DIFFERENCES).keys() - known
