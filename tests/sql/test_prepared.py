"""Statements with parameters: PostgreSQL 15 and PhantomDB say the same.

Each is prepared and described, and what was drawn is bound to values and run. Compared are types
of parameters, columns, rows, tags and errors, but for their places in the text.

PostgreSQL makes generic plans here: in the others it computes with the values of parameters before
it looks at a row, in the first five executions of a statement and then no more. What PhantomDB says
is absent is not compared, but counted. Nor is which of several values or rows that cannot be
computed with makes a statement fail, whether one does that LIMIT, a join or an extreme may leave
out, and the last digit of a sum of floats, which PostgreSQL rounds after each row; nor whether it
overflows on its way.

No table is ever empty: PostgreSQL computes a condition that reads no column once, before it looks
for rows, PhantomDB for each row that there is.
"""

import os
import random
from collections.abc import Iterator
from decimal import Decimal

import pytest
from kit import drawn
from kit.frontend import (
    SYNC,
    Answer,
    Column,
    Frontend,
    bind,
    describe,
    execute,
    parse,
)

from phantomdb.client.processes import NodeProcess

#: Statements of one seed, after which the tables are made anew.
STATEMENTS = 250
#: Statements in all: a few seconds, unless more are asked for.
TOTAL = int(os.environ.get("PHANTOM_STATEMENTS", "2000"))
#: The first seed, to draw others.
FIRST_SEED = int(os.environ.get("PHANTOM_FIRST_SEED", "0"))
#: Of a hundred statements, how many may use what is absent (intervals, regular expressions).
ABSENT_MAX = 5
#: Digits of a sum of floats that are certain.
DIGITS = 14
#: Where PostgreSQL may be done before it has computed all; it takes the first of an order for min.
LEAVES_OUT = (" JOIN ", " LIMIT ", "min(", "max(", "bool_and(", "every(")
FLOAT8, NUMERIC = 701, 1700
ABSENT = "0A000"
OUT_OF_RANGE = "22003"

Shown = dict[str, object]


def error_of(answer: Answer) -> tuple[str, ...]:
    """Return what must be equal of an error."""
    return tuple(answer.errors[0].get(letter, "") for letter in "CMD") if answer.errors else ()


def is_of_data(answer: Answer) -> bool:
    """Whether values or rows made it fail, not the statement."""
    return answer.sqlstate[:2] in {"22", "23"}


def prepared(db: Frontend, statement: drawn.Drawn) -> tuple[Answer, Shown]:
    """Prepare and describe a statement."""
    db.send(parse(statement.sql, types=statement.types), describe("S"), SYNC)
    answer = db.answer()
    columns = [(c.name, c.type_oid, c.size, c.typmod) for c in answer.columns]
    return answer, {
        "messages": answer.kinds,
        "parameters": answer.parameter_types,
        "columns": columns,
        "error": error_of(answer),
    }


def value(text: bytes | None, column: Column) -> object:
    """Return a value of a group: which of 1.0 and 1.00 stands for both is nobody's promise."""
    if text is None or text in {b"NaN", b"Infinity", b"-Infinity"}:
        return text
    if column.type_oid == NUMERIC:
        return Decimal(text.decode()).normalize()
    # Nor which of 0 and -0: a sum with 0 has no such sign.
    return f"{float(text) + 0.0:.{DIGITS}g}" if column.type_oid == FLOAT8 else text


def executed(
    db: Frontend, statement: drawn.Drawn, values: list[bytes | None]
) -> tuple[Answer, Shown]:
    """Bind the prepared statement to values and run it."""
    db.send(bind(values), describe("P"), execute(), SYNC)
    answer = db.answer()
    if answer.errors:
        return answer, {"error": error_of(answer)}
    merges = statement.is_grouped
    rows = [tuple(map(value, row, answer.columns)) if merges else row for row in answer.rows]
    if "ORDER BY" not in statement.sql:
        rows.sort(key=repr)
    return answer, {"messages": answer.kinds, "tags": answer.tags, "rows": rows, "error": ()}


def is_met(theirs: Answer, ours: Answer, statement: drawn.Drawn) -> bool:
    """Whether answers differ in what nobody promises: which rows and values are computed with."""
    if is_of_data(theirs) and is_of_data(ours):
        return True
    if statement.is_grouped and theirs.sqlstate == OUT_OF_RANGE:
        return True
    may_leave_out = any(word in statement.sql for word in LEAVES_OUT)
    return may_leave_out and (is_of_data(theirs) or is_of_data(ours))


class Both:
    """PostgreSQL and PhantomDB with the same tables."""

    def __init__(self, wanted: Frontend, found: Frontend) -> None:
        self.wanted = wanted
        self.found = found

    def drop(self) -> None:
        """Drop the tables."""
        for db in (self.wanted, self.found):
            for table in drawn.TABLES:
                assert not db.query(f"DROP TABLE IF EXISTS {table}").errors

    def fill(self) -> None:
        """Make the tables as they begin."""
        self.drop()
        for db in (self.wanted, self.found):
            for table in drawn.TABLES:
                assert not db.query(drawn.create(table)).errors
                assert not db.query(drawn.fill(table)).errors

    def difference(self, statement: drawn.Drawn, values: random.Random) -> str:
        """Run a statement on both; returns what differs, `ABSENT`, or nothing."""
        theirs, wanted = prepared(self.wanted, statement)
        ours, found = prepared(self.found, statement)
        if ours.sqlstate == ABSENT:
            return ABSENT
        if wanted != found:
            return f"{statement}\n  PostgreSQL {wanted}\n  PhantomDB  {found}"
        if theirs.errors:
            return ""
        names = [drawn.NAMES[oid] for oid in theirs.parameter_types]
        texts = [values.choice(drawn.VALUES[name]) for name in names]
        bound = [None if text is None else text.encode() for text in texts]
        theirs, wanted = executed(self.wanted, statement, bound)
        ours, found = executed(self.found, statement, bound)
        same = wanted == found or is_met(theirs, ours, statement)
        if statement.sql.startswith("DELETE") or bool(theirs.errors) != bool(ours.errors):
            self.fill()
        return "" if same else f"{statement} {texts}\n  PostgreSQL {wanted}\n  PhantomDB  {found}"


@pytest.fixture
def both(oracle: int, node: NodeProcess) -> Iterator[Both]:
    """Give both; the tables are gone afterwards."""
    generic = {"plan_cache_mode": "force_generic_plan"}
    with (
        Frontend.connect(oracle, **generic) as wanted,
        Frontend.connect(node.pg.port) as found,
    ):
        servers = Both(wanted, found)
        yield servers
        servers.drop()


PARAMETERS = [
    # SET is bound after WHERE and RETURNING, a value after all others of its row.
    "UPDATE x SET d = $1 WHERE z <= $1",
    "UPDATE x SET d = $1, z = $1",
    "UPDATE x SET l = $1 WHERE k = 1 RETURNING $1",
    "UPDATE x SET l = $1, k = $1 + 1",
    "INSERT INTO x (k, l) VALUES ($1, $1 + 1)",
    "INSERT INTO x (l, k) VALUES ($1, $1 + 1)",
    "INSERT INTO x (d, k) VALUES ($1, 1), (now(), $1)",
    "INSERT INTO x (k) VALUES ($1) RETURNING $1, k = $1",
    "DELETE FROM x WHERE d = $1 RETURNING $1, z > $1",
    # A select list waits for the clauses behind it.
    "SELECT $1 FROM x WHERE k = $1",
    "SELECT $1, $2 FROM x ORDER BY $1 LIMIT $2",
    "SELECT $1 FROM x ORDER BY 1 LIMIT $1",
    "SELECT DISTINCT $1 FROM x LIMIT $1",
    "SELECT $1, count(*) FROM x GROUP BY $1",
    "SELECT $1, count(*) FROM x GROUP BY 1 HAVING $1 > 'a'",
    "SELECT k FROM x LIMIT $1 OFFSET $1 + 1",
    "SELECT $2",
    # Operands from left to right, each use by what is known then.
    "SELECT $1 + $1::int, $2::int + $2",
    "SELECT $1 BETWEEN k AND l, $2 BETWEEN SYMMETRIC k AND l, k BETWEEN $3 AND $4 FROM x",
    "SELECT $1 BETWEEN d - $1 AND 1 FROM x",
    "SELECT k BETWEEN $1 AND $1 + 1, $2 BETWEEN 1 AND length($2) FROM x",
    "SELECT $1 NOT BETWEEN d AND z, d NOT BETWEEN SYMMETRIC $2 AND now() FROM x",
    "SELECT k IN ($1), k IN ($2, l), l IN ($3, k, 2.5), v IN ($4), v IN ($5, $6) FROM x",
    "SELECT $1 IN (k, l, 2) FROM x",
    "SELECT $1 IN (1, 2.5), $2 IN ('a'), $3 NOT IN ($4, 'a') FROM x",
    "SELECT $1 IN ($2, k, NULL) FROM x",
    "SELECT $1 IN (count(*), 1) FROM x",
    "SELECT $1 IS NULL",
    "SELECT $1 IS NULL OR k = $1 FROM x",
    "SELECT k = $1 OR $1 IS NULL FROM x",
    "SELECT $1 IS NOT DISTINCT FROM NULL, $1 = 1",
    "SELECT $1 IS DISTINCT FROM k, $2 IS TRUE, NOT $3 FROM x",
    "SELECT nullif($1, k), nullif(k, $2), coalesce($3, $4), greatest($5, l) FROM x",
    "SELECT CASE $1 WHEN k THEN 1 END FROM x",
    "SELECT CASE $1 WHEN 'a' THEN $2 ELSE 1 END",
    "SELECT CASE WHEN $1 THEN $2 ELSE d END FROM x",
    # Where any type does, a parameter gets none.
    "SELECT concat($1, 'a')",
    "SELECT concat($1, $1::int)",
    "SELECT count($1) FROM x",
    "SELECT count(DISTINCT $1) FROM x",
    # Overloads that PhantomDB lacks stand for election.
    "SELECT d + $1 FROM x",
    "SELECT d - $1 FROM x",
    "SELECT $1 + $2",
    "SELECT $1 * $2",
    "SELECT $1 / $2",
    "SELECT -$1",
    "SELECT sum($1)",
    "SELECT avg($1)",
    "SELECT trunc($1)",
    "SELECT extract(year from $1)",
    "SELECT date_part('year', $1)",
    "SELECT date_trunc('year', $1)",
    "SELECT mod($1, $2)",
    "SELECT int4($1)",
    "SELECT length($1), abs($2), round($3), round($4, $5), power($6, $7), max($8)",
    "SELECT substring($1, 2), substring($2 for $3), substr($4, $5), left($6, $7)",
    "SELECT $1 || $2, k || $3, $4 || b, v || $5 FROM x",
    "SELECT $1 LIKE $2, s ILIKE $3, v LIKE $4 ESCAPE $5 FROM x",
    "SELECT k FROM x JOIN y USING (k) WHERE k = $1",
    "SELECT x.k FROM x JOIN y USING (k) WHERE x.k = $1 AND y.k = $2",
]


@pytest.mark.parametrize("sql", PARAMETERS)
def test_a_parameter_has_postgresqls_type(both: Both, sql: str) -> None:
    both.fill()
    _, wanted = prepared(both.wanted, drawn.Drawn(sql, ()))
    _, found = prepared(both.found, drawn.Drawn(sql, ()))
    assert found == wanted


def test_an_update_finds_the_rows_that_its_where_means(both: Both) -> None:
    both.fill()
    update = drawn.Drawn("UPDATE x SET d = $1 WHERE z <= $1", ())
    for db in (both.wanted, both.found):
        prepared(db, update)
    instants: list[bytes | None] = [b"2024-01-01 12:30:00.5+00"]
    _, wanted = executed(both.wanted, update, instants)
    _, found = executed(both.found, update, instants)
    assert found == wanted
    assert found["tags"] not in ([], ["UPDATE 0"])


@pytest.mark.parametrize(
    "sql", ["SELECT 1 / 0, $1::int", "SELECT k FROM x WHERE k = $1 AND 1 / 0 = 1"]
)
def test_what_cannot_be_planned_is_described_and_not_bound(both: Both, sql: str) -> None:
    both.fill()
    statement = drawn.Drawn(sql, ())
    for db in (both.wanted, both.found):
        described, _ = prepared(db, statement)
        assert described.parameter_types == [drawn.OIDS["int4"]]
        bound, _ = executed(db, statement, [b"1"])
        assert (bound.kinds, bound.sqlstate) == ("EZ", "22012")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + TOTAL // STATEMENTS))
def test_drawn_statements_have_postgresqls_types_and_answers(both: Both, seed: int) -> None:
    generator, values = drawn.Generator(seed), random.Random(seed)
    both.fill()
    told = [both.difference(generator.statement(), values) for _ in range(STATEMENTS)]
    wrong = [difference for difference in told if difference not in {"", ABSENT}]
    if wrong:
        pytest.fail("\n".join([f"seed {seed}: {len(wrong)} differ", *wrong]), pytrace=False)
    assert told.count(ABSENT) * 100 <= ABSENT_MAX * STATEMENTS
