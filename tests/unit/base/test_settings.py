"""Names of nodes: what can be shown in a log line and a table, and nothing else."""

import pytest

from phantomdb.base.settings import SQL_MEMORY_BYTES_MIN, NodeSettings, sql_memory_bytes


@pytest.mark.parametrize("name", ["n1", "node-1.example", "N_1", "x" * 63])
def test_a_name_of_letters_digits_and_marks_is_one(name: str) -> None:
    assert NodeSettings.is_name(name)


@pytest.mark.parametrize("name", ["", "a\n", "\na", "a b", "é", "a/b", "\x1b[31m", "x" * 64])
def test_what_could_not_be_shown_is_none(name: str) -> None:
    assert not NodeSettings.is_name(name)


@pytest.mark.parametrize(
    ("directory", "name"),
    [("/srv/n1", "n1"), ("n1/", "n1"), ("/srv/my data\n", "my-data-"), ("/", "node"), ("", "node")],
)
def test_a_directory_lends_what_of_its_name_is_one(directory: str, name: str) -> None:
    assert NodeSettings.name_of(directory) == name
    assert NodeSettings.is_name(name)


def test_statements_may_hold_a_quarter_of_the_machine_and_never_less_than_they_need() -> None:
    assert sql_memory_bytes(24 << 30) == 6 << 30
    assert sql_memory_bytes(1 << 20) == SQL_MEMORY_BYTES_MIN
