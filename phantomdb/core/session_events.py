"""What a session wants decided, as the core writes it (`rust_core/node/src/session/run.rs`).

Each has the number that its answer carries, but for those that have no answer. `Remark` is what a
client is told beside success.
"""

from dataclasses import dataclass

import cbor2


@dataclass(frozen=True, slots=True)
class PlanWanted:
    """How a query is to be spread; `query` is for the planner to read."""

    event: int
    query: bytes


@dataclass(frozen=True, slots=True)
class ColumnWanted:
    """A column of a table to be; its collation is the database's if none is named."""

    name: str
    type_oid: int
    typmod: int
    not_null: bool
    collation: str = "default"


@dataclass(frozen=True, slots=True)
class TableWanted:
    """CREATE TABLE; `primary_key` has column numbers from 1."""

    event: int
    schema: str
    name: str
    columns: tuple[ColumnWanted, ...]
    primary_key: tuple[int, ...]
    primary_key_name: str
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class DropWanted:
    """DROP TABLE of (schema, name) each."""

    event: int
    tables: tuple[tuple[str, str], ...]
    if_exists: bool


@dataclass(frozen=True, slots=True)
class WithdrawalWanted:
    """The change with the number `of` is to be given up; answered by that change's own end."""

    of: int


@dataclass(frozen=True, slots=True)
class CancelWanted:
    """A client that knows its secret wants a session's statement ended; it gets no answer."""

    pid: int
    secret: int


@dataclass(frozen=True, slots=True)
class Remark:
    """A code and a text of PostgreSQL's, and what to do about it, if anything."""

    sqlstate: str
    message: str
    hint: str = ""


SessionEvent = PlanWanted | TableWanted | DropWanted | WithdrawalWanted | CancelWanted


def decode_session_event(event: int, kind: str, body: bytes) -> SessionEvent:
    """Read one."""
    match kind:
        case "plan":
            return PlanWanted(event, body)
        case "create_table":
            schema, name, columns, key, key_name, if_not_exists = cbor2.loads(body)
            wanted = tuple(ColumnWanted(*column) for column in columns)
            return TableWanted(event, schema, name, wanted, tuple(key), key_name, if_not_exists)
        case "drop_table":
            tables, if_exists = cbor2.loads(body)
            named = tuple((schema, name) for schema, name in tables)
            return DropWanted(event, named, if_exists)
        case "withdraw":
            return WithdrawalWanted(cbor2.loads(body))
        case "cancel":
            return CancelWanted(*cbor2.loads(body))
    raise AssertionError(f"a session wants {kind}")
