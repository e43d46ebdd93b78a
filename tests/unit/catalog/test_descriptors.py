"""Descriptors: the bytes that both languages write. `flights.hex` is read by the Rust test too."""

from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantomdb.catalog.descriptors import Column, Table, TableState, tombstone
from phantomdb.catalog.keys import number_value, schema_oid, schema_value, value_number

GOLDEN = bytes.fromhex((Path(__file__).parent / "flights.hex").read_text())
FLIGHTS = Table(
    16_385,
    1,
    16_386,
    1,
    TableState.PUBLIC,
    "public",
    "flights",
    (
        Column("carrier", 25, -1, not_null=True),
        Column("flight", 23, -1, not_null=True),
        Column("delay", 701, -1, not_null=False),
    ),
    (1, 2),
    "flights_pkey",
)

U32 = st.integers(0, 2**32 - 1)
COLUMNS = st.lists(
    st.builds(
        Column,
        st.text(),
        U32,
        st.integers(-1, 2**31 - 1),
        not_null=st.booleans(),
        collation=st.sampled_from(["default", "C", "POSIX"]),
    )
).map(tuple)
TABLES = st.builds(
    Table,
    U32,
    U32,
    U32,
    U32,
    st.sampled_from(TableState),
    st.text(),
    st.text(),
    COLUMNS,
    st.lists(st.integers(1, 1_600)).map(tuple),
    st.text(),
)


def test_the_bytes_are_those_of_the_core() -> None:
    assert FLIGHTS.encode() == GOLDEN
    assert Table.decode(GOLDEN) == FLIGHTS


@given(TABLES)
def test_a_descriptor_round_trips(table: Table) -> None:
    assert Table.decode(table.encode()) == table


@given(TABLES, st.lists(st.integers() | st.text()))
def test_fields_of_a_newer_node_are_passed_over(table: Table, more: list[object]) -> None:
    values = cbor2.loads(table.encode())
    # Before more fields, a newer node writes all that this one knows.
    values[8] = [[*column, *["default"][len(column) - 4 :], *more] for column in values[8]]
    assert Table.decode(cbor2.dumps([*values, *more])) == table


def test_a_newer_format_is_not_read() -> None:
    values = cbor2.loads(GOLDEN)
    with pytest.raises(AssertionError, match="format 2"):
        Table.decode(cbor2.dumps([2, *values[1:]]))


def test_a_dropped_table_is_a_newer_version_of_itself() -> None:
    dropping = FLIGHTS.dropping()
    assert dropping.version == FLIGHTS.version + 1
    assert dropping.state is TableState.DROPPING
    assert dropping.columns == FLIGHTS.columns
    assert tombstone(7).state is TableState.DROPPING


@given(U32, U32)
def test_values_of_system_rows_round_trip(oid: int, version: int) -> None:
    assert schema_oid(schema_value(oid, version)) == oid
    assert value_number(number_value(oid)) == oid
