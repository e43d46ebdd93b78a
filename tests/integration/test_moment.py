"""Literals and casts that speak of the present: `now`, `today`, in whatever spelling.

A literal has the moment in which its own statement was prepared, a cast the one in which it runs:
never that of another session, which had prepared the same text before.
"""

from collections.abc import Iterator

import pytest
from kit.frontend import SYNC, TEXT, Frontend, bind, execute, parse, query

from phantomdb.client.processes import NodeProcess

#: Literals of one moment. Each is asked for as microseconds, which no two statements share.
LITERALS = [
    "'now'::timestamptz",
    "' now '::timestamptz",
    "'NOW'::timestamptz",
    "timestamptz 'now'",
    "$$now$$::timestamptz",
    "E'\\x6eow'::timestamptz",
    "U&'\\006eow'::timestamptz",
    "CAST('now' AS timestamptz(6))",
    "greatest('now', timestamptz '2000-01-01')",
]
#: Casts that are done anew by every execution.
CASTS = [
    "('now'::text)::timestamptz",
    "('no'||'w')::timestamptz",
    "(' now'::varchar)::timestamptz",
    "CASE WHEN true THEN lower('NOW') END::timestamptz",
]


@pytest.fixture
def sessions(node: NodeProcess) -> Iterator[tuple[Frontend, Frontend]]:
    """Give two sessions of a node."""
    with Frontend.connect(node.pg.port) as one, Frontend.connect(node.pg.port) as other:
        yield one, other


def moment_of(expression: str) -> str:
    """Return a statement that shows an instant to its last digit, and now."""
    return f"SELECT extract(epoch from {expression}), extract(epoch from now())"


@pytest.mark.parametrize("expression", LITERALS + CASTS)
def test_a_statement_has_its_own_moment(
    sessions: tuple[Frontend, Frontend], expression: str
) -> None:
    sql = moment_of(expression)
    for db in sessions * 2:
        for answer in (db.query(sql), db.extended(sql, result=TEXT)):
            [(read, now)] = answer.values()
            assert read == now


@pytest.mark.parametrize("expression", CASTS)
def test_a_cast_of_a_text_is_done_anew_by_each_execution(
    sessions: tuple[Frontend, Frontend], expression: str
) -> None:
    db = sessions[0]
    db.send(parse(moment_of(expression), "kept"), SYNC)
    assert not db.answer().errors
    seen = set()
    for _ in range(3):
        db.send(bind(name="kept"), execute(), SYNC)
        [(read, now)] = db.answer().values()
        assert read == now
        seen.add(read)
    assert len(seen) == 3


@pytest.mark.parametrize("word", ["today", "tomorrow", "yesterday", " Today", "TOMORROW "])
def test_a_day_is_that_of_the_sessions_zone(sessions: tuple[Frontend, Frontend], word: str) -> None:
    days = {"today": 0, "tomorrow": 1, "yesterday": -1}[word.strip().lower()]
    for db, zone in zip(sessions, ("Pacific/Kiritimati", "Etc/GMT+12"), strict=True):
        db.query(f"SET timezone = '{zone}'")
        for literal in (f"'{word}'::date", f"$${word}$$::date", f"('{word}'::text)::date"):
            answer = db.query(f"SELECT {literal} - now()::date")
            assert answer.values() == [(str(days),)], literal


#: What means something else in another zone or style.
FORMS = [
    "SELECT extract(epoch from '2020-07-01 12:00'::timestamptz)",
    "SELECT extract(epoch from ('2020-07-01 12:00'::text)::timestamptz)",
    "SELECT '01/02/2020'::date - '2020-01-01'::date, ('01/02/2020'::text)::date",
    "SELECT ('2020-07-01 12:00+00'::timestamptz)::text, ('2020-07-01'::date)::text || 'x'",
    "SELECT (0.1::float8 + 0.2)::text, 'd' || 1e-7::float8",
]


def test_a_kept_statement_has_the_forms_of_its_session(oracle: int, node: NodeProcess) -> None:
    settings = [
        ("UTC", "ISO, MDY", 1),
        ("Asia/Tokyo", "ISO, DMY", 0),
        ("America/New_York", "SQL, DMY", -3),
        ("UTC", "German, DMY", 1),
    ]
    answers = []
    for port in (oracle, node.pg.port):
        found = []
        for zone, style, digits in settings * 2:
            with Frontend.connect(port) as db:
                db.query(f"SET timezone = '{zone}'")
                db.query(f"SET datestyle = '{style}'")
                db.query(f"SET extra_float_digits = {digits}")
                found += [db.query(sql).values() for sql in FORMS]
                found += [db.extended(sql, result=TEXT).values() for sql in FORMS]
        answers.append(found)
    assert answers[1] == answers[0]


def test_a_prepared_statement_casts_as_the_session_is_set_when_it_runs(
    oracle: int, node: NodeProcess
) -> None:
    casts = "SELECT ('2020-07-01 12:00'::text)::timestamptz, ('2020-07-01'::date)::text"
    answers = []
    for port in (oracle, node.pg.port):
        with Frontend.connect(port) as db:
            db.send(parse(casts, "kept"), SYNC)
            assert not db.answer().errors
            found = []
            for zone, style in (("UTC", "ISO"), ("Asia/Tokyo", "German"), ("UTC", "ISO")):
                db.send(query(f"SET timezone = '{zone}'"), query(f"SET datestyle = '{style}'"))
                db.answer(), db.answer()
                db.send(bind(name="kept"), execute(), SYNC)
                found.append(db.answer().values())
            answers.append(found)
    assert answers[1] == answers[0]
