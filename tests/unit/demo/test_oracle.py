from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from phantomdb.demo import flights
from phantomdb.demo.flights import DataDamaged, Table, batches
from phantomdb.demo.oracle import DIFFERENCES_MAX, Oracle, Value, differences
from phantomdb.demo.questions import QUESTIONS, Question

BIRDS = Table(
    "birds", "birds.csv", 3, (("name", "text"), ("grams", "int4"), ("span", "numeric")), ("name",)
)
EASTERN = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    ("ours", "its"),
    [
        (7, 7),
        (Decimal(7), 7),
        (Decimal("12.439772"), 12.439772),
        (0.1 + 0.2, 0.3),
        (7, 7.0),
        (True, 1),
        (None, None),
        ("JFK", "JFK"),
        (datetime(2013, 1, 1, 5, tzinfo=EASTERN), "2013-01-01T10:00:00Z"),
        (datetime(2013, 1, 1, 10, tzinfo=UTC), "2013-01-01T10:00:00Z"),
        (date(2013, 1, 1), "2013-01-01"),
    ],
)
def test_values_that_mean_the_same_are_equal(ours: Value, its: Value):
    assert differences([(ours,)], [(its,)]) == []


@pytest.mark.parametrize(
    ("ours", "its"),
    [
        (7, 8),
        (7, "7"),
        (None, 0),
        (0, None),
        (12.4397, 12.4398),
        (9_007_199_254_740_993, 9_007_199_254_740_992),
        ("jfk", "JFK"),
        (datetime(2013, 1, 1, 10, tzinfo=UTC), "2013-01-01T11:00:00Z"),
    ],
)
def test_values_that_mean_something_else_are_not(ours: Value, its: Value):
    assert differences([(ours,)], [(its,)]) == [f"row 1: {(ours,)} instead of {(its,)}"]


def test_the_order_of_rows_counts():
    assert len(differences([(1,), (2,)], [(2,), (1,)])) == 2


def test_missing_and_additional_rows_are_told():
    assert differences([(1,)], [(1,), (2,)]) == ["1 rows instead of 2"]
    assert differences([(1,), (2,)], [(1,)]) == ["2 rows instead of 1"]


def test_a_row_of_another_width_differs():
    assert len(differences([(1, 2)], [(1,)])) == 1


def test_only_the_first_differences_are_told():
    assert len(differences([(1,)] * 9, [(2,)] * 9)) == DIFFERENCES_MAX


def test_rows_are_read_from_text_as_their_columns_say():
    oracle = Oracle()
    oracle.create(BIRDS)
    oracle.insert(BIRDS, [("wren", "9", "14.5"), ("swift", None, "45")])
    assert oracle.answer("SELECT * FROM birds ORDER BY name") == [
        ("swift", None, 45),
        ("wren", 9, 14.5),
    ]
    assert oracle.answer("SELECT name FROM birds WHERE name LIKE 'W%'") == []


def test_a_key_that_comes_twice_is_noticed():
    oracle = Oracle()
    oracle.create(BIRDS)
    oracle.insert(BIRDS, [("wren", "9", "14.5")])
    with pytest.raises(DataDamaged, match=r"birds\.name"):
        oracle.insert(BIRDS, [("wren", "10", "15")])


@pytest.fixture(scope="module")
def loaded() -> Oracle:
    folder = flights.find()
    oracle = Oracle()
    for table in flights.TABLES:
        oracle.create(table)
        for batch in batches(table, folder, batch_rows=1_000, rows_max=2_000):
            oracle.insert(table, batch)
    return oracle


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.title)
def test_every_question_has_an_answer_even_with_few_rows(loaded: Oracle, question: Question):
    assert loaded.answer(question.oracle_sql)


@pytest.mark.parametrize("question", QUESTIONS[1:], ids=lambda question: question.title)
def test_every_question_with_many_rows_asks_for_an_order(question: Question):
    assert "ORDER BY" in question.sql
