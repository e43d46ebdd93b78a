import pytest

from phantomdb.base import errors
from phantomdb.base.errors import Conflict, Corrupted, PhantomError, Refused, by_sqlstate


@pytest.mark.parametrize("cls", [errors.UsageError, Refused, Conflict, Corrupted, errors.NoLeader])
def test_a_code_finds_its_class_again(cls: type[PhantomError]) -> None:
    error = by_sqlstate(cls.sqlstate, "said", hint="do this")
    assert type(error) is cls
    assert (error.message, error.hint, str(error)) == ("said", "do this", "said")


def test_a_code_without_a_class_is_kept() -> None:
    error = by_sqlstate("42999", "said")
    assert isinstance(error, PhantomError)
    assert error.sqlstate == "42999"


def test_a_code_belongs_to_one_class() -> None:
    with pytest.raises(AssertionError, match="belongs to"):

        class Second(PhantomError, sqlstate=Conflict.sqlstate):
            pass


def test_a_subclass_without_a_code_has_its_parents() -> None:
    assert errors.NotFormed.sqlstate == Refused.sqlstate
    assert type(by_sqlstate(Refused.sqlstate, "x")) is Refused
