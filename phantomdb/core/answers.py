"""Errors of the extension, raised as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from phantomdb import _core  # noqa: TID251 - this package is its door
from phantomdb.base.errors import Corrupted, DiskFailed, PhantomError, by_sqlstate


@contextmanager
def answers() -> Iterator[None]:
    """Raise what the extension raises as the `PhantomError` of its SQLSTATE."""
    try:
        yield
    except _core.CoreError as error:
        raise _answer(error) from error


@contextmanager
def ends() -> Iterator[None]:
    """Raise why a core has ended: `Corrupted`, or `DiskFailed` for a disk that took no bytes."""
    try:
        yield
    except _core.CoreError as error:
        answer = _answer(error)
        raise answer if isinstance(answer, Corrupted) else DiskFailed(answer.message) from error


def _answer(error: "_core.CoreError") -> PhantomError:
    sqlstate, message = error.args
    return by_sqlstate(sqlstate, message)
