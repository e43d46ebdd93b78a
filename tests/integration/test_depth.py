"""Statements that nest thousands of levels deep, over columns and through every node.

A node answers them or refuses them with 54001; none of them ends a node, the leader's least of all.
Long chains, which people and programs do write, are answered as PostgreSQL answers them.
"""

import re
from collections.abc import Iterator

import pytest
from kit.frontend import Frontend
from kit.steady import settled, undisturbed

from phantomdb.client.processes import Cluster

ROWS = "(1, 1, 'a', true), (2, 2, 'b', false), (3, NULL, NULL, NULL)"
BESIDE = "CREATE TABLE IF NOT EXISTS beside (id int4 PRIMARY KEY)"
TABLE = "CREATE TABLE IF NOT EXISTS deep (k int4 PRIMARY KEY, n int4, w text, b bool)"
LEVELS = (3_000, 9_900)

#: What comes before an operand once a level, the operand, and what comes after it.
FORMS = {
    "+": ("", "n", " + 1"),
    "+ to the right": ("1 + (", "n", ")"),
    "signs": ("- ", "n", ""),
    "brackets": ("(", "n", ")"),
    "casts": ("", "n", "::int8::int4"),
    "casts by text": ("", "n", "::text::int4"),
    "abs": ("abs(", "n", ")"),
    "mod": ("mod(k, ", "n", ")"),
    "COALESCE": ("coalesce(NULL, ", "n", ")"),
    "NULLIF": ("nullif(k, ", "n", ")"),
    "GREATEST": ("greatest(1, ", "n", ")"),
    "WHEN": ("CASE WHEN ", "n", " > 0 THEN 1 ELSE 0 END"),
    "THEN": ("CASE WHEN k > 0 THEN ", "n", " END"),
    "ELSE": ("CASE WHEN k > 9 THEN 1 ELSE ", "n", " END"),
    "CASE": ("CASE ", "n", " WHEN 1 THEN 2 WHEN 2 THEN 3 END"),
    "||": ("", "w", " || w"),
    "|| to the right": ("w || (", "w", ")"),
    "lower": ("lower(", "w", ")"),
    "concat": ("concat(w, ", "w", ")"),
    "NOT": ("NOT ", "b", ""),
    "AND": ("", "b", " AND b"),
    "AND to the right": ("b AND (", "b", ")"),
    "OR and AND": ("((", "b", ") OR b) AND b"),
    "IS NULL": ("(", "b", ") IS NULL"),
    "IS NOT TRUE": ("(", "b", ") IS NOT TRUE"),
    "=": ("(", "b", ") = b"),
    "IS DISTINCT FROM": ("b IS DISTINCT FROM (", "b", ")"),
    "IN": ("(", "b", ") IN (true, b)"),
    "in a list": ("b IN (true, ", "b", ")"),
    "BETWEEN": ("(", "b", ") BETWEEN false AND b"),
    "BETWEEN SYMMETRIC": ("b BETWEEN SYMMETRIC false AND (", "b", ")"),
}

#: As many of them as PostgreSQL with its default stack takes as well.
CHAINS = {
    "+": 4_900,
    "signs": 3_000,
    "casts": 1_500,
    "abs": 3_000,
    "||": 3_000,
    "lower": 3_000,
    "NOT": 4_000,
    "AND": 20_000,
}

#: Where the expression stands.
PLACES = {
    "point": "SELECT {} FROM deep WHERE k = 2",
    "scan": "SELECT {} FROM deep ORDER BY k",
    "aggregate": "SELECT max(({})::text) FROM deep",
    "group": "SELECT {0}, count(*) FROM deep GROUP BY {0} ORDER BY 1",
    "filter": "SELECT k FROM deep WHERE ({}) IS NOT NULL ORDER BY k",
    "join": "SELECT count(*) FROM deep JOIN beside ON id = 1 AND ({}) IS NULL",
    "update": "UPDATE deep SET w = 'c' WHERE k = 9 AND ({}) IS NOT NULL",
    "returning": "DELETE FROM deep WHERE k = 9 RETURNING {}",
    "insert": "INSERT INTO deep (k, w) VALUES (1, ({})::text) ON CONFLICT DO NOTHING",
}


def nested(form: str, levels: int) -> str:
    """Nest a form so many levels deep."""
    before, operand, after = FORMS[form]
    return before * levels + operand + after * levels


@pytest.fixture(scope="module")
def deep(shared_cluster: Cluster) -> Iterator[Cluster]:
    """Give three nodes with a table of three rows; they must be the same processes afterwards."""
    pids = [node.pid for node in shared_cluster.nodes]
    make = (TABLE, BESIDE, f"INSERT INTO deep VALUES {ROWS} ON CONFLICT DO NOTHING")
    with Frontend.connect(shared_cluster.nodes[0].pg.port) as db:
        for sql in make:
            assert not settled(lambda sql=sql: undisturbed(db.query(sql))).errors
    yield shared_cluster
    assert [node.pid for node in shared_cluster.nodes if node.is_running] == pids
    with Frontend.connect(shared_cluster.nodes[0].pg.port) as db:
        settled(lambda: undisturbed(db.query("DROP TABLE IF EXISTS deep, beside")))


@pytest.mark.parametrize("form", FORMS)
def test_any_form_at_any_depth_is_answered_or_refused_by_every_node(
    deep: Cluster, form: str
) -> None:
    for node in deep.nodes:
        with Frontend.connect(node.pg.port) as db:
            for place in ("point", "scan", "group"):
                for levels in LEVELS:
                    sql = PLACES[place].format(nested(form, levels))
                    answer = settled(lambda sql=sql: undisturbed(db.query(sql)))
                    assert answer.sqlstate in ("", "54001"), (node.name, place, levels)
            assert db.query("SELECT 1").values() == [("1",)]
    assert all(node.is_running for node in deep.nodes)


@pytest.mark.parametrize("place", PLACES)
def test_depth_is_bounded_wherever_it_stands(deep: Cluster, place: str) -> None:
    for node in deep.nodes:
        with Frontend.connect(node.pg.port) as db:
            for form in ("+", "ELSE", "NOT"):
                for levels in (900, 4_000):
                    expression = nested(form, levels)
                    if place == "insert":
                        expression = re.sub(r"\b[kn]\b", "length('a')", expression)
                        expression = re.sub(r"\bb\b", "(length('a') = 1)", expression)
                    sql = PLACES[place].format(expression)
                    answer = settled(lambda sql=sql: undisturbed(db.query(sql)))
                    assert answer.sqlstate in ("", "54001"), (node.name, form, levels)
    assert all(node.is_running for node in deep.nodes)


@pytest.mark.parametrize("form", CHAINS)
def test_a_long_chain_is_answered_as_postgresql_does(deep: Cluster, oracle: int, form: str) -> None:
    sql = f"SELECT k, {nested(form, CHAINS[form])} FROM deep ORDER BY k"
    with Frontend.connect(oracle) as db:
        db.query(TABLE)
        db.query(f"INSERT INTO deep VALUES {ROWS} ON CONFLICT DO NOTHING")
        wanted = db.query(sql)
        assert not wanted.errors
    for node in deep.nodes:
        with Frontend.connect(node.pg.port) as db:
            answer = settled(lambda db=db: undisturbed(db.query(sql)))
            assert answer.values() == wanted.values(), node.name
