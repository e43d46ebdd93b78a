"""Where system rows are: groups, relations, keys and values.

A relation is its colocation set and number in 64 bits. Keys are lists of numbers and words, which
the core encodes as it does key columns.
"""

#: The group of nodes and catalog, and the first group of rows.
SYSTEM_GROUP = 1
ROWS_GROUP = 2
#: The colocation set of users' tables, which is in `ROWS_GROUP`.
FIRST_SET = 1
#: The group of each colocation set.
GROUPS = {FIRST_SET: ROWS_GROUP}

#: Nodes by id; descriptors by OID; counters by number; OIDs by schema and name.
NODES = 1
TABLES = 2
COUNTERS = 3
NAMES = 5
#: Descriptor versions by OID, in the group of the table's rows.
SCHEMA = FIRST_SET << 32 | 4

#: The counter of OIDs.
OID_COUNTER = 1

#: A row's key.
Key = list[int | str]


def number_value(number: int) -> bytes:
    """Return a number as the value of a row."""
    return number.to_bytes(8, "big")


def value_number(value: bytes) -> int:
    """Return the number in a value."""
    return int.from_bytes(value, "big")


def schema_value(oid: int, version: int) -> bytes:
    """Return the value of a schema key."""
    return version.to_bytes(4, "big") + oid.to_bytes(4, "big")


def schema_oid(value: bytes) -> int:
    """Return the OID that a schema key is of."""
    return int.from_bytes(value[4:8], "big")
