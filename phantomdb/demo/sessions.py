"""Connections of the demo: psycopg, one statement at a time, each its own transaction.

What became of a statement that failed is told by `outcome`: the demo counts nothing as done or as
not done that the server did not say.
"""

from enum import Enum

import psycopg
from psycopg.rows import TupleRow

from phantomdb.base.world import Address

#: The one database that there is.
DATABASE = "postgres"
#: A statement that takes longer is ended by the server; loads and questions take far less.
STATEMENT_TIMEOUT_S = 60
#: How long a connection may take; a node that is up answers in milliseconds.
CONNECT_TIMEOUT_S = 10

Connection = psycopg.Connection[TupleRow]

#: The server says that it does not know: 40003; it ends the session: 57P01, 57P02.
_UNKNOWN_STATES = frozenset({"40003", "57P01", "57P02"})
#: Somebody else was first, no leader yet, no quorum yet: worth another try.
_RETRY_STATES = frozenset({"40001", "57P03", "25006"})


class Outcome(Enum):
    """What is known of a statement that failed."""

    REFUSED = "nothing was done"
    RETRY = "nothing was done, and it may go better soon"
    UNKNOWN = "it may have happened or not"


def connect(address: Address, *, statement_timeout_s: int = STATEMENT_TIMEOUT_S) -> Connection:
    """Open a connection; raises `psycopg.OperationalError`."""
    return psycopg.connect(
        host=address.host,
        port=address.port,
        user="demo",
        dbname=DATABASE,
        sslmode="disable",
        connect_timeout=CONNECT_TIMEOUT_S,
        options=f"-c TimeZone=UTC -c statement_timeout={statement_timeout_s}s",
        autocommit=True,
        cursor_factory=psycopg.RawCursor,
    )


def outcome(error: psycopg.Error, connection: Connection | None) -> Outcome:
    """Return what became of the statement that `error` ended; without a connection, of connecting.

    An error of the driver itself, without a SQLSTATE, means that the connection was lost while an
    answer was due; so does any error after which the connection is gone.
    """
    if connection is None:
        return Outcome.RETRY
    state = error.sqlstate
    if state is None or state in _UNKNOWN_STATES or state.startswith("08") or connection.closed:
        return Outcome.UNKNOWN
    return Outcome.RETRY if state in _RETRY_STATES else Outcome.REFUSED


def explain(error: psycopg.Error) -> str:
    """Return an error in one line."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{error.sqlstate}: {first}" if error.sqlstate else first
