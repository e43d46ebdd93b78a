"""Exit codes of a node (operations): what each class of error ends it with."""

from phantomdb.base.errors import (
    Corrupted,
    DiskFailed,
    DiskFull,
    InUse,
    PhantomError,
    UsageError,
)
from phantomdb.node.doors.listening import PortInUse

#: The first class that an error is of has its code; 0 is "stopped", 3 what is of none.
EXIT_CODES: tuple[tuple[type[PhantomError], int], ...] = (
    (UsageError, 2),
    (PortInUse, 8),
    (InUse, 5),
    (Corrupted, 6),
    (DiskFull, 7),
    (DiskFailed, 7),
)


def exit_code(error: PhantomError) -> int:
    """Return the exit code for an error that ends a node; 3 is "refused"."""
    for cls, code in EXIT_CODES:
        if isinstance(error, cls):
            return code
    return 3
