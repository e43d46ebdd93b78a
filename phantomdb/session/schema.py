"""CREATE TABLE and DROP TABLE, step by step; and what a dead node left half done.

A table is two rows in two groups, so each change is two entries, in an order in which a crash
between them leaves something harmless:

- CREATE writes the schema key (which lets rows be written), then name and descriptor (which let
  statements find the table). In between, a schema key without a descriptor: nobody can bind to it.
- DROP takes the name and marks the descriptor, then removes the schema key. In between, a table
  that no new statement finds and old ones may still use.

Whoever wants a change given up may cancel it until it calls `begin_commit`, right before the first
write that statements can see; that raises if the cancellation came too late for the wait before it.
From there on the change goes to its end, and that end is its answer.

`finish_leftovers` runs on the leader of the system group and ends what was begun. Every write is
conditional on what was read, so that running twice, or against a live CREATE, changes nothing.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from phantomdb.base.errors import Conflict, PhantomError
from phantomdb.catalog.descriptors import (
    FIRST_USER_OID,
    Column,
    Table,
    TableState,
    tombstone,
)
from phantomdb.catalog.keys import (
    COUNTERS,
    FIRST_SET,
    NAMES,
    OID_COUNTER,
    ROWS_GROUP,
    SCHEMA,
    SYSTEM_GROUP,
    TABLES,
    Key,
    number_value,
    schema_oid,
    schema_value,
    value_number,
)
from phantomdb.core import Node
from phantomdb.core.rows import RowSpan, RowWrite
from phantomdb.core.session_events import Remark, TableWanted

logger = logging.getLogger(__name__)

#: How often a step that met another change is tried.
TRIES = 20
#: A schema key without a descriptor is left over once it is so old, in milliseconds.
LEFTOVER_MS = 60_000

#: The code of a remark that has none of its own.
SUCCESS = "00000"


class DuplicateTable(PhantomError, sqlstate="42P07"):
    """A table of that name is there."""


class UndefinedTable(PhantomError, sqlstate="42P01"):
    """No table of that name is there."""


class SchemaChanges:
    """The catalog's side of a session's schema changes."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def create(
        self, wanted: Table, *, if_not_exists: bool, begin_commit: Callable[[], None]
    ) -> list[Remark]:
        """Create a table; returns remarks. Usable on every live node on return.

        Raises `DuplicateTable`, `Conflict` after `TRIES` meetings with other changes.
        """
        for _ in range(TRIES):
            if await self._find(wanted.schema, wanted.name) is not None:
                message = f'relation "{wanted.name}" already exists'
                if not if_not_exists:
                    raise DuplicateTable(message)
                return [Remark(DuplicateTable.sqlstate, f"{message}, skipping")]
            oid = await self._allocate(2)
            table = replace(wanted, oid=oid, storage_id=oid + 1)
            key: Key = [oid]
            await self._node.write_rows(
                ROWS_GROUP, [RowWrite(SCHEMA, key, schema_value(oid, table.version), seen=0)]
            )
            begin_commit()
            try:
                await self._node.write_rows(
                    SYSTEM_GROUP,
                    [
                        RowWrite(NAMES, [table.schema, table.name], number_value(oid), seen=0),
                        RowWrite(TABLES, key, table.encode(), seen=0),
                    ],
                )
            except Conflict:
                await self._node.write_rows(ROWS_GROUP, [RowWrite(SCHEMA, key, None, seen=None)])
                continue
            await self._node.barrier(SYSTEM_GROUP)
            return []
        raise Conflict(f'table "{wanted.name}": too many schema changes at once')

    async def drop(
        self,
        names: Sequence[tuple[str, str]],
        *,
        if_exists: bool,
        begin_commit: Callable[[], None],
    ) -> list[Remark]:
        """Drop tables; returns remarks. All are looked up before the first is touched.

        Raises `UndefinedTable`.
        """
        remarks = []
        found = []
        for schema, name in names:
            oid = await self._find(schema, name)
            if oid is not None:
                found.append((schema, name))
            elif if_exists:
                remarks.append(Remark(SUCCESS, f'table "{name}" does not exist, skipping'))
            else:
                raise UndefinedTable(f'table "{name}" does not exist')
        begin_commit()
        for schema, name in found:
            await self._drop_one(schema, name)
        await self._node.barrier(SYSTEM_GROUP)
        return remarks

    async def _drop_one(self, schema: str, name: str) -> None:
        for _ in range(TRIES):
            [names] = await self._node.read_rows(SYSTEM_GROUP, [RowSpan(NAMES, [schema, name])])
            if not names:
                return  # Another DROP was first.
            [name_row] = names
            oid = value_number(name_row.value)
            [tables] = await self._node.read_rows(SYSTEM_GROUP, [RowSpan(TABLES, [oid])])
            if not tables:
                continue
            [table_row] = tables
            dropping = Table.decode(table_row.value).dropping()
            try:
                await self._node.write_rows(
                    SYSTEM_GROUP,
                    [
                        RowWrite(NAMES, [schema, name], None, seen=name_row.version),
                        RowWrite(TABLES, [oid], dropping.encode(), seen=table_row.version),
                    ],
                )
            except Conflict:
                continue
            await self._node.write_rows(ROWS_GROUP, [RowWrite(SCHEMA, [oid], None, seen=None)])
            return
        raise Conflict(f'table "{name}": too many schema changes at once')

    async def _find(self, schema: str, name: str) -> int | None:
        [rows] = await self._node.read_rows(SYSTEM_GROUP, [RowSpan(NAMES, [schema, name])])
        return value_number(rows[0].value) if rows else None

    async def _allocate(self, count: int) -> int:
        """Return the first of `count` numbers that nobody else gets."""
        key: Key = [OID_COUNTER]
        for _ in range(TRIES):
            [rows] = await self._node.read_rows(SYSTEM_GROUP, [RowSpan(COUNTERS, key)])
            first = value_number(rows[0].value) if rows else FIRST_USER_OID
            version = rows[0].version if rows else 0
            try:
                await self._node.write_rows(
                    SYSTEM_GROUP,
                    [RowWrite(COUNTERS, key, number_value(first + count), seen=version)],
                )
            except Conflict:
                continue
            return first
        raise Conflict("object identifiers: too many schema changes at once")

    async def finish_leftovers(self, now_hlc: int) -> int:
        """End schema changes whose node died; returns how many. Call it on the system leader."""
        [tables] = await self._node.read_rows(SYSTEM_GROUP, [RowSpan(TABLES)])
        [keys] = await self._node.read_rows(ROWS_GROUP, [RowSpan(SCHEMA)])
        descriptors = {
            (table := Table.decode(row.value)).oid: (table, row.version) for row in tables
        }
        ended = 0
        for row in keys:
            oid = schema_oid(row.value)
            age_ms = (now_hlc >> 16) - (row.version >> 16)
            if oid not in descriptors and age_ms > LEFTOVER_MS:
                # The tombstone makes the CREATE fail, should it still be alive.
                stone = tombstone(oid)
                stone_version = await self._node.write_rows(
                    SYSTEM_GROUP, [RowWrite(TABLES, [oid], stone.encode(), seen=0)]
                )
                descriptors[oid] = (stone, stone_version)
        for oid, (table, version) in descriptors.items():
            if table.state is TableState.DROPPING:
                await self._node.write_rows(ROWS_GROUP, [RowWrite(SCHEMA, [oid], None, seen=None)])
                await self._node.write_rows(
                    SYSTEM_GROUP, [RowWrite(TABLES, [oid], None, seen=version)]
                )
                ended += 1
                logger.info("ended the drop of table %d (%s)", oid, table.name or "never created")
        return ended


def wanted_table(wanted: TableWanted) -> Table:
    """Return the descriptor that CREATE TABLE asks for; its numbers come later."""
    return Table(
        0,
        1,
        0,
        FIRST_SET,
        TableState.PUBLIC,
        wanted.schema,
        wanted.name,
        tuple(
            Column(c.name, c.type_oid, c.typmod, c.not_null, c.collation) for c in wanted.columns
        ),
        wanted.primary_key,
        wanted.primary_key_name,
    )
