"""Statements that compute without end: others go on beside them, and their time ends them.

The patterns here take hours by themselves, so that what ends was ended in the middle of a function.
"""

import pytest
from kit.cluster import ROWS_GROUP, leader_of
from kit.frontend import SYNC, Frontend, bind, describe, execute, parse
from kit.steady import LEADER_CHANGED, settled, undisturbed

from phantomdb.client.processes import Cluster

#: Some 10^13 steps.
ENDLESS = "repeat($1::text, 10000000) LIKE '%' || repeat($1::text, 2000000) || 'b'"
CASE = f"CASE WHEN {ENDLESS} THEN 1 ELSE 2 END"

STATEMENTS = {
    "without a table": f"SELECT {ENDLESS}",
    "key": f"SELECT n FROM costly WHERE k = {CASE}",
    "row": f"SELECT n + {CASE} FROM costly WHERE k = 1",
    "update": f"UPDATE costly SET n = n + {CASE} WHERE k = 1",
    "insert": f"INSERT INTO costly VALUES (2, {CASE})",
    "limit": f"SELECT n FROM costly LIMIT {CASE}",
    "scan": f"SELECT count(*) FROM costly WHERE n + {CASE} > 0",
    "scan and write": f"DELETE FROM costly WHERE n = {CASE}",
}


def done(db: Frontend, sql: str) -> list[tuple[str | None, ...]]:
    """Run a statement that may be run twice; return its rows."""
    answer = settled(lambda: undisturbed(db.query(sql)))
    assert not answer.errors, answer
    return answer.values()


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_statement_that_computes_for_hours_ends_with_its_time_and_holds_nobody_up(
    shared_cluster: Cluster, statement: str
) -> None:
    leader = leader_of(shared_cluster, ROWS_GROUP)
    with Frontend.connect(leader.pg.port) as beside:
        done(beside, "DROP TABLE IF EXISTS costly")
        done(beside, "CREATE TABLE IF NOT EXISTS costly (k int4 PRIMARY KEY, n int8)")
        done(beside, "INSERT INTO costly VALUES (1, 10), (3, 30) ON CONFLICT DO NOTHING")
        for node in shared_cluster.nodes:
            with Frontend.connect(node.pg.port) as db:
                db.query("SET statement_timeout = 500")
                db.send(parse(statement), bind([b"a"]), describe("P"), execute(), SYNC)
                # The node whose thread might be held up has time for others.
                assert beside.query("SELECT 1").values() == [("1",)]
                code = db.answer().sqlstate
                assert code == "57014" or code in LEADER_CHANGED, code
        # Latches and workers are free.
        assert done(beside, "SELECT k, n FROM costly ORDER BY k") == [("1", "10"), ("3", "30")]
        done(beside, "UPDATE costly SET n = 10 WHERE k = 1")
        done(beside, "DROP TABLE IF EXISTS costly")


def test_values_that_take_gigabytes_are_refused_and_the_node_lives(
    shared_cluster: Cluster,
) -> None:
    with Frontend.connect(leader_of(shared_cluster, ROWS_GROUP).pg.port) as db:
        done(db, "DROP TABLE IF EXISTS letters")
        done(db, "CREATE TABLE IF NOT EXISTS letters (k int4 PRIMARY KEY, b text)")
        rows = ", ".join(f"({k}, '{'x' * 100}')" for k in range(1_000))
        done(db, f"INSERT INTO letters VALUES {rows} ON CONFLICT DO NOTHING")
        for made in ("repeat(b, 50000)", "lpad(b, 5000000)", "replace(b, 'x', repeat('y', 50000))"):
            answer = db.query(f"SELECT count(*) FROM letters WHERE length({made}) > 5")
            assert answer.sqlstate in {"53200"} | LEADER_CHANGED, made
        # A parameter of 5 MB for each row, which no function makes.
        answer = db.extended("SELECT $1::text FROM letters", [b"w" * 5_000_000])
        assert answer.sqlstate in {"53200"} | LEADER_CHANGED
        assert done(db, "SELECT count(*) FROM letters") == [("1000",)]
        done(db, "DROP TABLE IF EXISTS letters")
