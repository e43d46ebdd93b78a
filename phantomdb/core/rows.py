"""Rows of system tables, as they are read and written: keys as columns, values as bytes."""

from dataclasses import dataclass

#: A key of a system row, as its columns.
Key = list[int | str]


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was read; `version` is what a write of it may name as seen."""

    value: bytes
    version: int


@dataclass(frozen=True, slots=True)
class RowSpan:
    """Rows of a relation: that of a key, or without one all of them in key order."""

    relation: int
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class RowWrite:
    """A write of a row; without a value the row is removed.

    It is refused unless the row has the version `seen`: 0 is "there is none", `None` takes any.
    """

    relation: int
    key: Key
    value: bytes | None
    seen: int | None
