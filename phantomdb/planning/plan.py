"""The distributed plan: fragments and where each runs.

What a session sends to be planned is CBOR [format, command, relations]: `relations` are [table oid,
descriptor version, colocation set, storage id]; the bound query stays in Rust. A plan goes back as
CBOR [format, [[shards, output], ..]].
"""

from dataclasses import dataclass
from enum import IntEnum

import cbor2

from phantomdb.base.errors import PhantomError

#: The format of both messages.
FORMAT = 1


class Command(IntEnum):
    """What a query does."""

    SELECT = 0
    INSERT = 1
    UPDATE = 2
    DELETE = 3


@dataclass(frozen=True, slots=True)
class Relation:
    """A table that a query uses."""

    oid: int
    version: int
    colocation: int
    storage_id: int


@dataclass(frozen=True, slots=True)
class Query:
    """A bound query, as far as a planner looks at it."""

    command: Command
    relations: tuple[Relation, ...]

    @classmethod
    def decode(cls, encoded: bytes) -> "Query":
        """Read what a session sends."""
        format_, command, relations = cbor2.loads(encoded)
        assert format_ == FORMAT, f"a query of format {format_}"
        return cls(Command(command), tuple(Relation(*relation) for relation in relations))


class Output(IntEnum):
    """What becomes of a fragment's rows."""

    GATHER = 0


#: The session's own node, for what reads no table.
GATEWAY = 0


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a plan: the group whose leader runs it (or `GATEWAY`), and its output."""

    shards: int
    output: Output


@dataclass(frozen=True, slots=True)
class DistributedPlan:
    """All fragments; rows of the first go to the client."""

    fragments: tuple[Fragment, ...]

    def encode(self) -> bytes:
        """Write it for the session."""
        fragments = [[fragment.shards, int(fragment.output)] for fragment in self.fragments]
        return cbor2.dumps([FORMAT, fragments])


class PlanError(PhantomError, sqlstate="0A000"):
    """A query that no strategy takes."""
