"""psycopg 3 and asyncpg, as they are: every type both ways, prepared statements, errors in full.

Each test does the same with PostgreSQL 15 and wants the same back.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest

from phantomdb.client.processes import NodeProcess

Connection = psycopg.Connection[Any]

VALUES: dict[str, list[object]] = {
    "bool": [True, False],
    "int2": [0, -32768, 32767],
    "int4": [0, -(2**31), 2**31 - 1],
    "int8": [0, -(2**63), 2**63 - 1],
    "float8": [0.0, -0.0, 0.1, 1e308, 5e-324, -1.5, float("inf"), float("-inf"), float("nan")],
    "numeric": [
        Decimal(text)
        for text in ("0", "0.00", "-1", "123456789012345678901234567890.123456789", "1e-30", "NaN")
    ]
    + [Decimal("Infinity"), Decimal("-Infinity"), Decimal("1e1000"), Decimal("10000.0001")],
    "text": ["", "a", "'quoted'", "\\", "ä€𐍈", "line\nline", "x" * 100_000],
    "varchar": ["", "abc", "ü"],
    "date": [date(1, 1, 1), date(9999, 12, 31), date(1970, 1, 1), date(2000, 2, 29)],
    "timestamptz": [
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
}
CASES = [(name, value) for name, values in VALUES.items() for value in [*values, None]]

#: What Python has no value for, as text.
EXTREMES = [
    "'infinity'::date",
    "'-infinity'::date",
    "'4713-01-01 BC'::date",
    "'5874897-12-31'::date",
    "'infinity'::timestamptz",
    "'-infinity'::timestamptz",
    "'4714-11-24 00:00:00+00 BC'::timestamptz",
    "'294276-12-31 23:59:59.999999+00'::timestamptz",
    "'-Infinity'::float8",
    "'NaN'::numeric",
    "'1e-16383'::numeric",
    "'1e131071'::numeric",
]


def connected(port: int) -> Connection:
    """Return a session of psycopg in autocommit mode."""
    at = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "postgres"}
    return psycopg.connect(**at, autocommit=True)  # type: ignore[arg-type]  # One is a number.


@pytest.fixture(scope="module")
def pair(oracle: int, shared_node: NodeProcess) -> Iterator[tuple[Connection, Connection]]:
    """PostgreSQL and PhantomDB by psycopg."""
    with connected(oracle) as theirs, connected(shared_node.pg.port) as ours:
        yield theirs, ours


def same(pair: tuple[Connection, Connection], ask: Callable[[Connection], object]) -> object:
    """Ask both the same and want the same; returns it."""
    wanted, found = (ask(connection) for connection in pair)
    assert repr(found) == repr(wanted)
    return found


def same_by_asyncpg(
    oracle: int, node: NodeProcess, ask: Callable[[asyncpg.Connection], Awaitable[object]]
) -> object:
    """Ask both the same by asyncpg and want the same; returns it."""

    async def run(port: int) -> object:
        at = {"host": "127.0.0.1", "port": port, "user": "postgres", "database": "postgres"}
        connection = await asyncpg.connect(**at, ssl=False)
        try:
            return await ask(connection)
        finally:
            await connection.close()

    wanted, found = asyncio.run(run(oracle)), asyncio.run(run(node.pg.port))
    assert repr(found) == repr(wanted)
    return found


@pytest.mark.parametrize("placeholder", ["%t", "%b"])
def test_every_type_travels_by_psycopg(
    pair: tuple[Connection, Connection], placeholder: str
) -> None:
    def ask(connection: Connection, name: str, value: object, *, binary: bool) -> object:
        sql = f"SELECT {placeholder}::{name} AS v".encode()
        cursor = connection.execute(sql, (value,), binary=binary)
        assert cursor.description is not None
        return cursor.fetchall(), cursor.description[0].type_code, cursor.statusmessage

    for name, value in CASES:
        for binary in (False, True):
            same(pair, lambda c, n=name, v=value, b=binary: ask(c, n, v, binary=b))  # type: ignore[misc]  # Bound now.


def test_every_type_travels_by_asyncpg(oracle: int, node: NodeProcess) -> None:
    async def ask(connection: asyncpg.Connection) -> object:
        return [
            await connection.fetchrow(f"SELECT $1::{name} AS v", value) for name, value in CASES
        ]

    same_by_asyncpg(oracle, node, ask)


@pytest.mark.parametrize("value", EXTREMES)
def test_extremes_have_postgresqls_text_and_bytes(
    pair: tuple[Connection, Connection], value: str
) -> None:
    def ask(connection: Connection, *, binary: bool) -> object:
        cursor = connection.execute(f"SELECT {value}".encode(), binary=binary)
        result = cursor.pgresult
        assert result is not None
        return result.get_value(0, 0), result.ftype(0)

    same(pair, lambda connection: ask(connection, binary=False))
    same(pair, lambda connection: ask(connection, binary=True))


def test_every_type_is_stored_as_it_was_given(pair: tuple[Connection, Connection]) -> None:
    columns = ", ".join(f"c_{name} {name}" for name in VALUES)
    names = ", ".join(f"c_{name}" for name in VALUES)
    places = ", ".join(["%s"] * (len(VALUES) + 1))
    longest = max(len(values) for values in VALUES.values())
    rows = [
        (at, *(values[at] if at < len(values) else None for values in VALUES.values()))
        for at in range(longest)
    ]

    def ask(connection: Connection) -> object:
        connection.execute(f"CREATE TABLE every_type (k int PRIMARY KEY, {columns})".encode())
        try:
            insert = f"INSERT INTO every_type (k, {names}) VALUES ({places}) RETURNING *"
            returned = [connection.execute(insert.encode(), row).fetchone() for row in rows]
            by_key = [
                connection.execute("SELECT * FROM every_type WHERE k = %s", (at,)).fetchone()
                for at in range(longest)
            ]
            cursor = connection.execute("SELECT * FROM every_type ORDER BY k", binary=True)
            return returned, by_key, cursor.fetchall()
        finally:
            connection.execute("DROP TABLE every_type")

    same(pair, ask)


def test_a_prepared_statement_is_run_again_with_other_values(
    pair: tuple[Connection, Connection],
) -> None:
    def ask(connection: Connection) -> object:
        sql = "SELECT %s::int4 + 1, %s::text || 'x', %s::float8 IS NULL"
        return [
            connection.execute(sql, (at, str(at), None), prepare=True).fetchall()
            for at in range(20)
        ]

    same(pair, ask)


def test_asyncpg_learns_types_of_parameters_and_columns(oracle: int, node: NodeProcess) -> None:
    async def ask(connection: asyncpg.Connection) -> object:
        await connection.execute("CREATE TABLE prepared (k int8 PRIMARY KEY, v numeric, w varchar)")
        try:
            insert = await connection.prepare("INSERT INTO prepared VALUES ($1, $2, $3)")
            for at in range(10):
                await insert.fetch(at, Decimal(at) / 4, f"w{at}")
            select = await connection.prepare("SELECT v, w FROM prepared WHERE k = $1")
            update = "UPDATE prepared SET v = v + $2 WHERE k = $1 RETURNING v"
            return (
                [(p.name, p.oid) for s in (insert, select) for p in s.get_parameters()],
                [(a.name, a.type.oid) for a in select.get_attributes()],
                [tuple(await select.fetchrow(at)) for at in range(10)],
                await connection.fetchval(update, 3, Decimal("0.5")),
                insert.get_statusmsg(),
            )
        finally:
            await connection.execute("DROP TABLE prepared")

    same_by_asyncpg(oracle, node, ask)


#: What a table's column becomes while drivers keep statements about it.
BECOMES = ["int8", "text", "numeric", "int4"]


def test_psycopg_is_told_of_drop_and_create_as_by_postgresql(
    pair: tuple[Connection, Connection],
) -> None:
    def ask(connection: Connection) -> object:
        told: list[object] = []
        for name in BECOMES:
            connection.execute(f"CREATE TABLE becomes (k int PRIMARY KEY, v {name})".encode())
            connection.execute("INSERT INTO becomes VALUES (1, '7')")
            for _ in range(2):
                try:
                    cursor = connection.execute("SELECT v FROM becomes", prepare=True)
                    told.append(cursor.fetchall())
                except psycopg.errors.FeatureNotSupported as error:
                    told.append((error.diag.message_primary, error.diag.source_function))
                    connection.execute("DEALLOCATE ALL")
            connection.execute("DROP TABLE becomes")
        return told

    same(pair, ask)


def test_asyncpg_goes_on_through_drop_and_create(oracle: int, node: NodeProcess) -> None:
    async def ask(connection: asyncpg.Connection) -> object:
        told = []
        for name in BECOMES:
            await connection.execute(f"CREATE TABLE becomes (k int PRIMARY KEY, v {name})")
            await connection.execute("INSERT INTO becomes VALUES (1, '7')")
            by_key = "SELECT * FROM becomes WHERE k = $1"
            told += [tuple(await connection.fetchrow(by_key, 1)) for _ in range(3)]
            told.append(await connection.fetchval("SELECT v FROM becomes"))
            await connection.execute("DROP TABLE becomes")
        return told

    same_by_asyncpg(oracle, node, ask)


def test_executemany_writes_all_rows(node: NodeProcess) -> None:
    """asyncpg pipelines it in one transaction, which is refused as a whole; psycopg does not."""
    rows = [(at, f"row {at}") for at in range(50)]
    with connected(node.pg.port) as connection:
        connection.execute("CREATE TABLE many (k int PRIMARY KEY, v text)")
        try:
            for row in rows:
                connection.execute("INSERT INTO many VALUES (%s, %s)", row)
            assert connection.execute("SELECT * FROM many ORDER BY k").fetchall() == rows
        finally:
            connection.execute("DROP TABLE many")


#: What goes wrong, by the code that it has.
ERRORS = {
    "42P01": ["SELECT * FROM absent", "INSERT INTO absent VALUES (1)", "DROP TABLE absent"],
    "42703": [
        "SELECT nope FROM errors",
        "SELECT k FROM errors e WHERE e.nope = 1",
        "INSERT INTO errors (k, nope) VALUES (1, 2)",
        "UPDATE errors SET nope = 1 WHERE k = 1",
    ],
    "42601": ["SELEC 1", "SELECT 1 +", "SELECT 'ä' FROM FROM"],
    "42883": ["SELECT nope(1)", "SELECT 1 || 2", "SELECT true + 1"],
    "42804": ["INSERT INTO errors (k) VALUES (true)", "SELECT 1 WHERE 1"],
    "42702": ["SELECT k FROM errors a, errors b"],
    "42803": ["SELECT v, count(*) FROM errors"],
    "22003": [
        "SELECT 2147483647 + 1",
        "SELECT '32768'::int2",
        "SELECT 9223372036854775807 + 1",
        "SELECT 1e308::float8 * 10",
        "INSERT INTO errors VALUES (2147483648, 1, 'a')",
    ],
    "22P02": [
        "SELECT 'x'::int4",
        "SELECT 'maybe'::bool",
        "SELECT '1.2.3'::numeric",
        "SELECT ''::float8",
        "SELECT k FROM errors WHERE k = 'one'",
    ],
    "22007": ["SELECT 'yesterdays'::date", "SELECT 'never'::timestamptz"],
    "22008": ["SELECT '2023-02-29'::date", "SELECT '2023-13-01'::timestamptz"],
    "22001": ["INSERT INTO errors VALUES (9, 1, 'abcdef')"],
    "23502": [
        "INSERT INTO errors VALUES (NULL, 1, 'a')",
        "INSERT INTO errors VALUES (5, NULL, 'a')",
        "UPDATE errors SET v = NULL WHERE k = 1",
    ],
    "23505": ["INSERT INTO errors VALUES (1, 2, 'b')", "INSERT INTO errors VALUES (7,1),(7,2)"],
    "22012": ["SELECT 1 / 0", "SELECT 1.0 % 0", "SELECT 1 / v FROM errors WHERE k = 2"],
}
FIELDS = (
    "severity",
    "severity_nonlocalized",
    "sqlstate",
    "message_primary",
    "message_detail",
    "statement_position",
    "schema_name",
    "table_name",
    "column_name",
    "datatype_name",
    "constraint_name",
)


@pytest.mark.parametrize("sqlstate", ERRORS)
def test_an_error_has_postgresqls_fields(
    pair: tuple[Connection, Connection], sqlstate: str
) -> None:
    def ask(connection: Connection) -> object:
        connection.execute("CREATE TABLE errors (k int PRIMARY KEY, v int NOT NULL, w varchar(5))")
        try:
            connection.execute("INSERT INTO errors VALUES (1, 1, 'a'), (2, 0, NULL)")
            return [told(connection, sql) for sql in ERRORS[sqlstate]]
        finally:
            connection.execute("DROP TABLE errors")

    def told(connection: Connection, sql: str) -> dict[str, str | None]:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(sql.encode())
        assert caught.value.sqlstate == sqlstate
        return {name: getattr(caught.value.diag, name) for name in FIELDS}

    same(pair, ask)


#: What a driver may decide by: the routine in PostgreSQL's sources.
ROUTINES = {
    "_bt_check_unique": "INSERT INTO places VALUES (1)",
    "FetchPreparedStatement": "DEALLOCATE nobody",
    "scanner_yyerror": "SELEC 1",
}


def test_an_error_says_where_it_was_made(pair: tuple[Connection, Connection]) -> None:
    def routine(connection: Connection, sql: str) -> str | None:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(sql.encode())
        place = caught.value.diag
        assert place.source_file, sql
        assert place.source_line is not None, sql
        assert place.source_line.isdecimal(), sql
        assert place.source_function, sql
        return place.source_function

    for connection in pair:
        connection.execute("CREATE TABLE places (k int PRIMARY KEY)")
        connection.execute("INSERT INTO places VALUES (1)")
    try:
        for errors in ERRORS.values():
            for sql in errors:
                routine(pair[1], sql)
        for name, sql in ROUTINES.items():
            assert same(pair, lambda connection, sql=sql: routine(connection, sql)) == name  # type: ignore[misc]  # Bound now.
    finally:
        for connection in pair:
            connection.execute("DROP TABLE places")


def test_asyncpg_reads_errors(oracle: int, node: NodeProcess) -> None:
    async def ask(connection: asyncpg.Connection) -> object:
        told = []
        for sql in ["SELECT nope", "SELECT 1/0", "SELECT 'x'::int4", "SELECT * FROM absent"]:
            with pytest.raises(asyncpg.PostgresError) as caught:
                await connection.fetch(sql)
            error = caught.value
            told.append((type(error).__name__, error.sqlstate, error.args, error.position))
        return told

    same_by_asyncpg(oracle, node, ask)


#: Work without an end in sight: 10^12 pairs of rows.
ENDLESS = "SELECT count(*) FROM endless a, endless b, endless c, endless d WHERE a.k + b.k < c.k"


@pytest.fixture(scope="module")
def endless(pair: tuple[Connection, Connection]) -> Iterator[None]:
    """Make a table for `ENDLESS`."""
    rows = ", ".join(f"({at})" for at in range(1000))
    for connection in pair:
        connection.execute("CREATE TABLE endless (k int PRIMARY KEY)")
        connection.execute(f"INSERT INTO endless VALUES {rows}".encode())
    yield
    for connection in pair:
        connection.execute("DROP TABLE endless")


@pytest.mark.usefixtures("endless")
def test_a_statement_ends_by_its_timeout(pair: tuple[Connection, Connection]) -> None:
    def ask(connection: Connection) -> object:
        # Enough for RESET itself, which is under it too.
        connection.execute("SET statement_timeout = 1000")
        try:
            with pytest.raises(psycopg.errors.QueryCanceled) as caught:
                connection.execute(ENDLESS.encode())
        finally:
            connection.execute("RESET statement_timeout")
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        return {name: getattr(caught.value.diag, name) for name in FIELDS}

    same(pair, ask)


@pytest.mark.usefixtures("endless")
def test_a_statement_ends_when_it_is_cancelled(pair: tuple[Connection, Connection]) -> None:
    def ask(connection: Connection) -> object:
        ended = threading.Event()

        def cancel_until_it_ends() -> None:
            while not ended.wait(0.05):  # A cancellation before its statement is for nobody.
                connection.cancel_safe()

        canceller = threading.Thread(target=cancel_until_it_ends)
        canceller.start()
        try:
            with pytest.raises(psycopg.errors.QueryCanceled) as caught:
                connection.execute(ENDLESS.encode())
        finally:
            ended.set()
            canceller.join()
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        return {name: getattr(caught.value.diag, name) for name in FIELDS}

    same(pair, ask)


@pytest.mark.usefixtures("endless")
def test_a_wrong_secret_cancels_nothing(node: NodeProcess) -> None:
    with connected(node.pg.port) as connection:
        pid = connection.info.backend_pid
        with psycopg.connect(
            host="127.0.0.1", port=node.pg.port, user="postgres", dbname="postgres"
        ) as other:
            assert other.info.backend_pid != pid
            other.cancel_safe()  # Its own session, which is idle.
        assert connection.execute("SELECT count(*) FROM endless").fetchall() == [(1000,)]


def test_a_transaction_block_is_refused_and_the_session_goes_on(node: NodeProcess) -> None:
    with connected(node.pg.port) as connection:
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            connection.execute("BEGIN")
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
