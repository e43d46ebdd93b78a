"""Descriptors of tables: the rows of the system group, as dataclasses and as CBOR.

The same bytes are read by `rust_core/sql/src/catalog/descriptor.rs`: an array led by a format
number; a newer node may append fields.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import cbor2

#: The format that this release writes.
FORMAT = 1
#: OIDs of user objects begin here, as PostgreSQL's do.
FIRST_USER_OID = 16_384


class TableState(IntEnum):
    """Where a table is in its life."""

    PUBLIC = 0
    DROPPING = 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, type OID, type modifier, whether NULL is refused, its texts' collation."""

    name: str
    type_oid: int
    typmod: int
    not_null: bool
    collation: str = "default"

    def fields(self) -> list[str | int]:
        """Return what is written of it; the database's collation is not."""
        own = [] if self.collation == "default" else [self.collation]
        return [self.name, self.type_oid, self.typmod, self.not_null, *own]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; column numbers are 1-based."""

    oid: int
    version: int
    storage_id: int
    colocation: int
    state: TableState
    schema: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...]
    primary_key_name: str

    def encode(self) -> bytes:
        """Write it."""
        columns = [column.fields() for column in self.columns]
        return cbor2.dumps(
            [
                FORMAT,
                self.oid,
                self.version,
                self.storage_id,
                self.colocation,
                int(self.state),
                self.schema,
                self.name,
                columns,
                list(self.primary_key),
                self.primary_key_name,
            ]
        )

    @classmethod
    def decode(cls, encoded: bytes) -> "Table":
        """Read one; fields that a newer node appended are passed over."""
        values = cbor2.loads(encoded)
        assert values[0] <= FORMAT, f"a descriptor of format {values[0]}"
        _, oid, version, storage_id, colocation, state, schema, name, columns, key, key_name = (
            values[:11]
        )
        return cls(
            oid,
            version,
            storage_id,
            colocation,
            TableState(state),
            schema,
            name,
            tuple(Column(*column[:5]) for column in columns),
            tuple(key),
            key_name,
        )

    def dropping(self) -> "Table":
        """Return the next version: no new statement finds it."""
        return replace(self, version=self.version + 1, state=TableState.DROPPING)


def tombstone(oid: int) -> Table:
    """Return a descriptor that bars an OID whose CREATE TABLE never ended."""
    return Table(oid, 1, oid, 1, TableState.DROPPING, "", "", (), (), "")
