"""Answers that are not results. The code crosses the wire, the class is found again.

    PhantomError
    ├── UsageError               a command line, address or list that cannot be meant
    ├── Refused                  an operation that the node or cluster does not allow now
    │   ├── NotFormed    55000   a data directory that belongs to no cluster yet
    │   ├── InUse        55006   another process has the directory, another socket the port
    │   ├── NoLeader     57P03   no leader is known, or none was found in time
    │   └── Conflict     40001   somebody else wrote first; nothing was done
    ├── DiskFull         53100   a disk has no room; nothing was done
    ├── DiskFailed       58030   a disk took no bytes while its node ran, which ends
    ├── UnknownOutcome   40003   it may have happened or not
    └── Corrupted        XX001   bytes on disk are not what was written

What a peer or client sends wrong is `MalformedMessage` (wire), which closes its link.
"""

from typing import ClassVar


class PhantomError(Exception):
    """An answer, not a bug. `sqlstate` travels; `hint` says what to do."""

    sqlstate: ClassVar[str] = "XX000"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __init_subclass__(cls, *, sqlstate: str | None = None) -> None:
        super().__init_subclass__()
        if sqlstate is not None:
            assert sqlstate not in _BY_SQLSTATE, f"{sqlstate} belongs to {_BY_SQLSTATE[sqlstate]}"
            cls.sqlstate = sqlstate
            _BY_SQLSTATE[sqlstate] = cls


_BY_SQLSTATE: dict[str, type[PhantomError]] = {}


def by_sqlstate(sqlstate: str, message: str, *, hint: str = "") -> PhantomError:
    """Return the error of the class that owns `sqlstate`, or a plain one that keeps the code."""
    cls = _BY_SQLSTATE.get(sqlstate)
    if cls is not None:
        return cls(message, hint=hint)
    return _with_code(sqlstate)(message, hint=hint)


def _with_code(sqlstate: str) -> type[PhantomError]:
    # Codes without a class of their own come from SQL statements and are only shown.
    return type("PhantomError", (PhantomError,), {"sqlstate": sqlstate})


class UsageError(PhantomError, sqlstate="22023"):
    """A command line, address or list that cannot be meant."""


class Refused(PhantomError, sqlstate="55000"):
    """An operation that the node or cluster does not allow in its present state."""


class NotFormed(Refused):
    """A data directory that belongs to no cluster yet."""


class IdentityTaken(Refused):
    """Another process runs as this node; one of them must not, or both vote for one."""


class InUse(Refused, sqlstate="55006"):
    """Another process has the directory, or another socket the port."""


class NoLeader(Refused, sqlstate="57P03"):
    """No leader is known, or none was found in time."""


class Conflict(Refused, sqlstate="40001"):
    """Somebody else wrote first; nothing was done."""


class DiskFull(PhantomError, sqlstate="53100"):
    """A disk has no room for it; nothing was done."""


class DiskFailed(PhantomError):
    """A disk took no bytes while its node ran; what was acknowledged holds, and the node ends."""

    # Not every 58030 is one: a directory that cannot be read is refused at the start.
    sqlstate: ClassVar[str] = "58030"


class UnknownOutcome(PhantomError, sqlstate="40003"):
    """It may have happened or not."""


class Corrupted(PhantomError, sqlstate="XX001"):
    """Bytes on disk are not what was written; the message names file and offset."""
