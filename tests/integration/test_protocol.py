"""PostgreSQL's protocol message by message: portals, pipelines, errors, statements beyond measure.

Whatever a session sends, it gets PostgreSQL 15's answer where there is one, and the node serves on.
"""

import struct
from collections.abc import Callable, Iterator

import pytest
from kit.frontend import (
    BINARY,
    FLUSH,
    SYNC,
    TEXT,
    Answer,
    Frontend,
    bind,
    close,
    describe,
    execute,
    message,
    parse,
    query,
    serves,
    text,
)
from kit.sqlfile import shown

from phantomdb.client.processes import NodeProcess


@pytest.fixture
def db(node: NodeProcess) -> Iterator[Frontend]:
    """Give a session with a table of 20 rows, `numbers (k int PRIMARY KEY)`."""
    with Frontend.connect(node.pg.port) as frontend:
        rows = ", ".join(f"({at})" for at in range(20))
        frontend.query("CREATE TABLE numbers (k int PRIMARY KEY)")
        frontend.query(f"INSERT INTO numbers VALUES {rows}")
        yield frontend
    with Frontend.connect(node.pg.port) as frontend:
        frontend.query("DROP TABLE numbers")


# Simple and extended queries. Each script is sent to both servers.

INT, TEXT_OID = 23, 25


def remade(columns: str) -> list[bytes]:
    """Return queries that drop `numbers` and create it with other columns."""
    return [query("DROP TABLE numbers"), query(f"CREATE TABLE numbers ({columns})")]


def steps(*texts: str) -> list[bytes]:
    """Return the messages that run statements one after the other, without a Sync."""
    return [part for sql in texts for part in (parse(sql), bind(), execute())]


SCRIPTS: dict[str, list[bytes]] = {
    "an empty query": [query("")],
    "a query of blanks": [query(" ; ;")],
    "two statements": [query("SELECT 1; SELECT 'a' AS b")],
    "an error among statements": [query("SELECT 1; SELECT 1/0; SELECT 2")],
    "a wrong name among statements": [query("SELECT 1; SELECT nope; SELECT 2")],
    "a wrong grammar among statements": [query("SELECT 1; SELEC 2")],
    "an empty statement": [parse(""), bind(), describe("P"), execute(), SYNC],
    "nothing but Sync": [SYNC],
    "a statement, described": [parse("SELECT $1::int4, $2", types=[0, 25]), describe("S"), SYNC],
    "types inferred": [parse("SELECT $1 + 1, $2 || 'x', $3::date"), describe("S"), SYNC],
    "a type undetermined": [parse("SELECT $1 IS NULL"), describe("S"), SYNC],
    "a parameter left out": [parse("SELECT $2::int4"), describe("S"), SYNC],
    "text and binary": [
        parse("SELECT $1::int4, $2::text"),
        bind([b"7", b"x"], formats=[], results=[]),
        execute(),
        bind([b"\0\0\0\x07", b"x"], formats=[BINARY, TEXT], results=[BINARY, TEXT]),
        describe("P"),
        execute(),
        SYNC,
    ],
    "NULL": [parse("SELECT $1::int4"), bind([None]), describe("P"), execute(), SYNC],
    "one format for all": [
        parse("SELECT $1::int4, $2::int8"),
        bind([b"\0\0\0\1", b"\0" * 8], formats=[BINARY], results=[BINARY]),
        execute(),
        SYNC,
    ],
    "a write in portions": [
        parse("DELETE FROM numbers WHERE k < 5 RETURNING k"),
        bind(),
        execute(),
        SYNC,
    ],
    "rows in portions": [
        parse("SELECT k FROM numbers ORDER BY k"),
        bind(portal="p"),
        execute("p", 3),
        execute("p", 10),
        execute("p"),
        execute("p"),
        SYNC,
    ],
    "exactly as many rows as there are": [
        parse("SELECT k FROM numbers ORDER BY k LIMIT 3"),
        bind(),
        execute(rows_max=3),
        execute(rows_max=3),
        SYNC,
    ],
    "a portal ends with Sync": [parse("SELECT 1"), bind(portal="p"), SYNC, execute("p"), SYNC],
    "a portal closed": [
        parse("SELECT k FROM numbers"),
        bind(portal="p"),
        execute("p", 1),
        close("P", "p"),
        execute("p"),
        SYNC,
    ],
    "an error skips to Sync": [parse("SELECT nope"), bind(), execute(), SYNC, query("SELECT 1")],
    "an error in Bind": [parse("SELECT $1::int4"), bind([b"x"]), execute(), SYNC],
    "an error in Execute": [parse("SELECT 1 / k FROM numbers"), bind(), execute(), execute(), SYNC],
    "bytes of the wrong length": [
        parse("SELECT $1::int4"),
        bind([b"\0\1"], formats=[BINARY]),
        execute(),
        SYNC,
    ],
    "text that is no UTF-8": [parse("SELECT $1::text"), bind([b"\xff"]), execute(), SYNC],
    "text with a zero byte": [parse("SELECT $1::text"), bind([b"a\0b"]), execute(), SYNC],
    "too few values": [parse("SELECT $1::int4, $2::int4"), bind([b"1"]), SYNC],
    "too many formats": [parse("SELECT $1::int4"), bind([b"1"], formats=[0, 0]), SYNC],
    "too many result formats": [parse("SELECT 1"), bind(results=[0, 0]), execute(), SYNC],
    "an unknown statement": [bind(name="absent"), SYNC],
    "an unknown portal": [execute("absent"), SYNC, describe("P", "absent"), SYNC],
    "an unknown statement described": [describe("S", "absent"), SYNC],
    "close what is not there": [close("S", "absent"), close("P", "absent"), SYNC],
    "a name taken": [parse("SELECT 1", "s"), SYNC, parse("SELECT 2", "s"), SYNC],
    "a name given again": [
        parse("SELECT 1", "s"),
        close("S", "s"),
        parse("SELECT 2", "s"),
        bind(name="s"),
        execute(),
        close("S", "s"),
        SYNC,
    ],
    "the unnamed statement replaced": [
        parse("SELECT 1"),
        parse("SELECT 2"),
        bind(),
        execute(),
        SYNC,
    ],
    "the unnamed statement lost by a query": [
        parse("SELECT 1"),
        SYNC,
        query("SELECT 2"),
        bind(),
        execute(),
        SYNC,
    ],
    "a portal's name taken": [parse("SELECT 1"), bind(portal="p"), bind(portal="p"), SYNC],
    "two statements prepared as one": [parse("SELECT 1; SELECT 2"), SYNC],
    "SHOW and SET": [
        parse("SET application_name = 'x'"),
        describe("S"),
        bind(),
        describe("P"),
        execute(),
        parse("SHOW application_name"),
        bind(),
        describe("P"),
        execute(),
        SYNC,
    ],
    "a write alone": [
        parse("INSERT INTO numbers VALUES ($1) RETURNING k + 1"),
        bind([b"100"], results=[BINARY]),
        describe("P"),
        execute(),
        SYNC,
        query("SELECT count(*) FROM numbers"),
    ],
    "a write that fails": [
        parse("INSERT INTO numbers VALUES ($1)"),
        bind([b"1"]),
        execute(),
        SYNC,
        query("SELECT count(*) FROM numbers"),
    ],
    "a write after reads": [query("SELECT 1; DELETE FROM numbers WHERE k = 3")],
    "a write that is described afterwards": [
        parse("DELETE FROM numbers WHERE k = 4"),
        bind(portal="p"),
        execute("p"),
        describe("S", ""),
        close("P", "p"),
        SYNC,
    ],
    "a statement of a table that was made anew": [
        parse("SELECT k FROM numbers WHERE k < $1", "s"),
        SYNC,
        *remade("v text, k int PRIMARY KEY"),
        query("INSERT INTO numbers VALUES ('a', 1), ('b', 7)"),
        describe("S", "s"),
        bind([b"5"], name="s"),
        describe("P"),
        execute(),
        SYNC,
    ],
    "a statement whose result has another type, bound": [
        parse("SELECT k FROM numbers", "s"),
        describe("S", "s"),
        SYNC,
        *remade("k text PRIMARY KEY"),
        bind(name="s"),
        describe("P"),
        execute(),
        SYNC,
        bind(name="s"),
        SYNC,
    ],
    "a statement whose result has another type, described": [
        parse("SELECT k FROM numbers", "s"),
        SYNC,
        *remade("k text PRIMARY KEY"),
        describe("S", "s"),
        SYNC,
    ],
    "a statement whose columns have other names": [
        parse("SELECT * FROM numbers", "s"),
        SYNC,
        *remade("j int PRIMARY KEY"),
        bind(name="s"),
        SYNC,
    ],
    "a statement whose table is gone": [
        parse("SELECT k FROM numbers", "s"),
        SYNC,
        query("DROP TABLE numbers"),
        bind(name="s"),
        SYNC,
        describe("S", "s"),
        SYNC,
        query("CREATE TABLE numbers (k int PRIMARY KEY)"),
        bind(name="s"),
        execute(),
        SYNC,
    ],
    "a statement whose parameter has no operator any more": [
        parse("SELECT 1 FROM numbers WHERE k = $1", "s"),
        SYNC,
        *remade("k text PRIMARY KEY"),
        bind([b"1"], name="s"),
        SYNC,
    ],
    "too many values for a statement of a table that was made anew": [
        parse("SELECT k FROM numbers", "s"),
        SYNC,
        *remade("k text PRIMARY KEY"),
        bind([b"1"], name="s"),
        SYNC,
    ],
    "a write of a table that was made anew": [
        parse("INSERT INTO numbers VALUES ($1) RETURNING k", "s"),
        SYNC,
        *remade("k int PRIMARY KEY, v int"),
        bind([b"5"], name="s"),
        execute(),
        SYNC,
        query("SELECT * FROM numbers"),
    ],
    "a setting of a pipeline that fails": [
        *steps(
            "SET work_mem = '8MB'", "SET application_name = 'x'", "SHOW work_mem", "SELECT 1 / 0"
        ),
        SYNC,
        query("SHOW work_mem"),
    ],
    "a setting of a pipeline": [
        *steps("SET application_name = 'x'", "SET application_name = 'y'", "SHOW application_name"),
        SYNC,
        query("SHOW application_name"),
    ],
    "a setting for a pipeline": [
        *steps("SET LOCAL application_name = 'x'", "SHOW application_name"),
        SYNC,
        query("SHOW application_name"),
    ],
    "settings of statements that fail": [
        query("SET application_name = 'x'; SET DateStyle = 'German'; SELECT 1 / 0"),
        query("SET application_name = 'x'; SET LOCAL DateStyle = 'German'; SHOW DateStyle"),
        query("SHOW DateStyle"),
    ],
    "modes of a transaction after a query": [
        *steps("SELECT 1", "SET TRANSACTION READ ONLY", "SET TRANSACTION READ WRITE"),
        SYNC,
        *steps("SELECT 1", "SET transaction_deferrable = on"),
        SYNC,
        *steps("SHOW transaction_read_only", "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"),
        SYNC,
    ],
    "COPY data without COPY": [message(b"d", b"x"), message(b"c"), query("SELECT 1")],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_messages_have_postgresqls_answers(oracle: int, node: NodeProcess, name: str) -> None:
    def run(port: int) -> list[object]:
        with Frontend.connect(port) as frontend:
            frontend.query("CREATE TABLE numbers (k int PRIMARY KEY)")
            rows = ", ".join(f"({at})" for at in range(20))
            frontend.query(f"INSERT INTO numbers VALUES {rows}")
            try:
                script = b"".join(SCRIPTS[name])
                frontend.send(script)
                answers = [frontend.answer() for _ in range(answers_of(SCRIPTS[name]))]
            finally:
                frontend.query("DROP TABLE numbers")
        # PostgreSQL evaluates constants before it describes a result; we may do it after.
        kinds = [a.kinds.replace("TE", "E") for a in answers]
        return [
            (k, a.parameter_types, a.parameters, shown(a, ordered=True))
            for k, a in zip(kinds, answers, strict=True)
        ]

    assert run(node.pg.port) == run(oracle)


def answers_of(script: list[bytes]) -> int:
    """Return how many ReadyForQuery a script gets."""
    return sum(part[:1] in b"QS" for part in script)


def test_flush_sends_what_is_there(db: Frontend) -> None:
    db.send(parse("SELECT 1", "s"), FLUSH)
    assert db.until("1").kinds == "1"
    db.send(bind(name="s"), describe("P"), FLUSH)
    assert db.until("T").kinds == "2T"
    db.send(execute(), FLUSH)
    assert db.until("C").values() == [("1",)]
    db.send(SYNC)
    assert db.answer().kinds == "Z"


def test_an_error_needs_no_sync_to_be_told(db: Frontend) -> None:
    db.send(parse("SELECT nope"), describe("S"), FLUSH)
    assert db.until("E").error["C"] == "42703"
    db.send(SYNC)
    assert db.answer().kinds == "Z"


def test_input_split_anywhere_gives_the_same_output(db: Frontend) -> None:
    script = parse("SELECT $1::int4 AS a") + bind([b"5"]) + describe("P") + execute() + SYNC
    db.send(script)
    whole = db.answer()
    for at in range(len(script)):
        db.send(script[:at])
        db.send(script[at:])
        assert db.answer() == whole


def test_a_pipeline_is_answered_in_order(db: Frontend) -> None:
    part = [parse("SELECT $1::int4"), bind([b"%d"]), execute(), SYNC]
    db.send(*(b"".join([part[0], bind([b"%d" % at]), *part[2:]]) for at in range(500)))
    assert [db.answer().values() for _ in range(500)] == [[(str(at),)] for at in range(500)]


ALONE = [
    [query("INSERT INTO numbers VALUES (50); SELECT 1")],
    [query("DELETE FROM numbers; DELETE FROM numbers")],
    [query("CREATE TABLE other (a int); INSERT INTO other VALUES (1)")],
    [
        parse("INSERT INTO numbers VALUES (50)"),
        bind(),
        execute(),
        parse("SELECT 1"),
        bind(),
        execute(),
        SYNC,
    ],
    [parse("DELETE FROM numbers"), bind(), execute(), bind(), execute(), SYNC],
    [parse("DELETE FROM numbers"), bind(), execute(), FLUSH, SYNC],
    [parse("DELETE FROM numbers"), bind(), execute(), query("SELECT 1")],
]


@pytest.mark.parametrize("at", range(len(ALONE)))
def test_a_write_that_is_not_the_last_is_refused_and_nothing_done(db: Frontend, at: int) -> None:
    db.send(*ALONE[at])
    answer = db.answer()
    assert answer.error["C"] == "0A000"
    assert "nothing of this one was done" in answer.error["D"]
    assert db.query("SELECT count(*), sum(k) FROM numbers").values() == [("20", "190")]
    assert db.query("SELECT * FROM other").sqlstate == "42P01"


def test_a_client_that_leaves_in_the_middle_does_no_harm(node: NodeProcess, db: Frontend) -> None:
    for _ in range(20):
        with Frontend.connect(node.pg.port) as frontend:
            frontend.send(query("SELECT * FROM numbers a, numbers b, numbers c"))
    assert db.query("SELECT 1").values() == [("1",)]


def test_a_client_that_reads_slowly_gets_all(node: NodeProcess, db: Frontend) -> None:
    sql = "SELECT a.k, repeat('x', 1000) FROM numbers a, numbers b, numbers c ORDER BY 1"
    db.send(query(sql), query("SELECT 1"))
    assert serves(node.pg.port)
    answer = db.answer()
    assert len(answer.rows) == 8_000
    assert db.answer().values() == [("1",)]


def test_an_idle_session_ends_by_its_timeout(oracle: int, node: NodeProcess) -> None:
    def run(port: int) -> object:
        with Frontend.connect(port) as frontend:
            frontend.query("SET idle_session_timeout = 1")
            said = b""
            while piece := frontend.socket.recv(4096):
                said += piece
        fields = said[said.rindex(b"SFATAL") :].split(b"\0")
        return [field for field in fields if field[:1] in (b"S", b"C", b"M")]

    assert run(node.pg.port) == run(oracle)


def test_statements_are_looked_up_by_the_path_of_the_moment(oracle: int, node: NodeProcess) -> None:
    script = [
        query("CREATE TABLE on_path (k int PRIMARY KEY)"),
        parse("SELECT k FROM on_path", "s"),
        SYNC,
        query("SET search_path = nowhere"),
        bind(name="s"),
        SYNC,
        query("RESET search_path"),
        bind(name="s"),
        execute(),
        SYNC,
        query("SET default_transaction_read_only = on; DROP TABLE on_path"),
        query("SET default_transaction_read_only = off"),
        query("SHOW transaction_read_only"),
    ]

    def run(port: int) -> list[object]:
        with Frontend.connect(port) as frontend:
            frontend.send(b"".join(script))
            answers = [frontend.answer() for _ in range(answers_of(script))]
        return [(answer.kinds, shown(answer, ordered=True)) for answer in answers]

    assert run(node.pg.port) == run(oracle)


def test_discard_all_forgets_statements(db: Frontend) -> None:
    db.send(parse("SELECT 1", "s"), SYNC)
    db.answer()
    db.query("DISCARD ALL")
    db.send(bind(name="s"), SYNC)
    assert db.answer().error["C"] == "26000"


def test_statements_of_a_session_are_bounded(db: Frontend) -> None:
    db.send(*(parse("SELECT 1", f"s{at}") for at in range(5_000)), SYNC)
    assert db.answer().error["C"] == "53400"
    assert db.query("DEALLOCATE ALL").tags == ["DEALLOCATE ALL"]


# Statements beyond measure: answered or refused, never the end of the node.

TOO_COMPLEX = ("54001", "54000", "0A000", "53200")
DEEP: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "20,000 brackets": (lambda: "SELECT " + "(" * 20_000 + "1" + ")" * 20_000, TOO_COMPLEX),
    "20,000 open brackets": (lambda: "SELECT " + "(" * 20_000, (*TOO_COMPLEX, "42601")),
    "a sum of 30,000 terms": (lambda: "SELECT 1" + " + 1" * 30_000, TOO_COMPLEX),
    "3,000 nested subqueries": (
        lambda: "SELECT " + "(SELECT " * 3_000 + "1" + ")" * 3_000,
        TOO_COMPLEX,
    ),
    "20,000 times NOT": (lambda: "SELECT " + "NOT " * 20_000 + "true", TOO_COMPLEX),
    "20,000 signs": (lambda: "SELECT " + "- " * 20_000 + "1", TOO_COMPLEX),
    "20,000 nested calls": (
        lambda: "SELECT " + "abs(" * 20_000 + "1" + ")" * 20_000,
        TOO_COMPLEX,
    ),
    "5,000 nested CASEs": (
        lambda: "SELECT " + "CASE WHEN true THEN " * 5_000 + "1" + " END" * 5_000,
        ("", *TOO_COMPLEX),
    ),
    "20,000 casts": (lambda: "SELECT 1" + "::int4" * 20_000, ("", *TOO_COMPLEX)),
    "an AND of 50,000": (lambda: "SELECT true" + " AND true" * 50_000, ("", *TOO_COMPLEX)),
    "5,000 statements": (lambda: "SELECT 1;" * 5_000, ("",)),
    "10,000 columns": (lambda: "SELECT " + ",".join("1" * 10_000), ("", "54011")),
    "300 joins": (
        lambda: (
            "SELECT 1 FROM numbers a0"
            + "".join(f" JOIN numbers a{at} ON a{at}.k = a0.k" for at in range(1, 300))
        ),
        ("", *TOO_COMPLEX),
    ),
    "a name of a million bytes": (lambda: f'SELECT "{"a" * 1_000_000}"', ("42703",)),
    "an open comment": (lambda: "SELECT 1 " + "/*" * 2_000, ("42601", *TOO_COMPLEX)),
}


@pytest.mark.parametrize("name", DEEP)
def test_a_statement_beyond_measure_is_answered_or_refused(db: Frontend, name: str) -> None:
    make, codes = DEEP[name]
    sql = make()
    assert db.query(sql).sqlstate in codes
    if name != "5,000 statements":
        db.send(parse(sql), SYNC)
        assert db.answer().sqlstate in codes
    assert db.query("SELECT 1").values() == [("1",)]


def test_an_in_list_of_100_000_is_searched(db: Frontend) -> None:
    wanted = ", ".join(str(at) for at in range(10, 100_010))
    answer = db.query(f"SELECT count(*) FROM numbers WHERE k IN ({wanted})")
    assert answer.values() == [("10",)]


def test_65_535_parameters_are_taken_and_no_more(db: Frontend) -> None:
    places = ", ".join(f"${at}" for at in range(1, 65_536))
    script = parse(f"SELECT count(*) FROM numbers WHERE k IN ({places})")
    values = (
        struct.pack("!h", 0) + struct.pack("!H", 65_535) + struct.pack("!i1s", 1, b"7") * 65_535
    )
    bound = message(b"B", text("") + text("") + values + struct.pack("!h", 0))
    db.send(script, bound, execute(), SYNC)
    answer = db.answer()
    assert answer.values() == [("1",)]
    db.send(parse("SELECT $65536::int4"), SYNC)
    assert db.answer().sqlstate == "42P02"


def test_a_row_of_eight_mebibytes_comes_back(db: Frontend) -> None:
    db.query("CREATE TABLE large (k int PRIMARY KEY, v text)")
    try:
        value = b"x" * (3 << 20)
        sql = "INSERT INTO large VALUES (1, $1)"
        assert db.extended(sql, [value]).tags == ["INSERT 0 1"]
        assert db.query("SELECT v FROM large WHERE k = 1").rows == [(value,)]
        assert db.query("SELECT length(v) FROM large").values() == [(str(3 << 20),)]
    finally:
        db.query("DROP TABLE large")


def test_answers_of_sessions_do_not_mix(node: NodeProcess) -> None:
    sessions = [Frontend.connect(node.pg.port) for _ in range(50)]
    try:
        for _ in range(5):
            for number, frontend in enumerate(sessions):
                frontend.send(query(f"SELECT {number}"))
            answers: list[Answer] = [frontend.answer() for frontend in sessions]
            assert [a.values() for a in answers] == [[(str(n),)] for n in range(50)]
    finally:
        for frontend in sessions:
            frontend.socket.close()
