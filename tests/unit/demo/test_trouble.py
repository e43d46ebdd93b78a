from types import SimpleNamespace
from typing import cast

import psycopg
import pytest

from phantomdb.client.processes import NodeProcess
from phantomdb.demo import load, trouble
from phantomdb.demo.flights import Table
from phantomdb.demo.load import BatchWriter, LoadFailed
from phantomdb.demo.sessions import Connection, Outcome, explain, outcome
from phantomdb.demo.trouble import NoRecovery, Writer, Writes

BIRDS = Table("birds", "birds.csv", 3, (("name", "text"), ("grams", "int4")), ("name",))
LOST, NOBODY = "lost", "nobody"


class ManualClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns


class Node:
    """What a writer knows of a node: its name and where it is."""

    name = "n1"
    pg = None


class Watch:
    """Lets time pass on a clock."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def __call__(self, seconds: float) -> None:
        self._clock.now_ns += round(seconds * 1e9)


class Script:
    """A connection whose statements end as the script says: "ok", a SQLSTATE or `LOST`.

    `NOBODY` stands for an attempt to connect that fails.
    """

    def __init__(self, *script: str) -> None:
        self.rest = list(script)
        self.seen: list[list[object]] = []
        self.opened = 0
        self.closed = False

    def open(self, _address: object) -> "Script":
        self.opened += 1
        if self.rest[0] == NOBODY:
            self.rest.pop(0)
            raise psycopg.OperationalError("nobody answers")
        self.closed = False
        return self

    def execute(self, _sql: str, values: list[object], *, prepare: bool = False) -> None:
        del prepare
        self.seen.append(values)
        state = self.rest.pop(0) if len(self.rest) > 1 else self.rest[0]
        if state == LOST:
            self.closed = True
            raise psycopg.OperationalError("the connection is lost")
        if state != "ok":
            raise psycopg.errors.lookup(state)(f"told {state}")

    def close(self) -> None:
        self.closed = True


def error_of(state: str) -> psycopg.Error:
    return psycopg.errors.lookup(state)("told")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("40003", Outcome.UNKNOWN),
        ("57P01", Outcome.UNKNOWN),
        ("08006", Outcome.UNKNOWN),
        ("40001", Outcome.RETRY),
        ("57P03", Outcome.RETRY),
        ("25006", Outcome.RETRY),
        ("23505", Outcome.REFUSED),
        ("42P01", Outcome.REFUSED),
    ],
)
def test_the_sqlstate_says_what_became_of_a_statement(state: str, expected: Outcome):
    open_connection = cast("Connection", SimpleNamespace(closed=False))
    assert outcome(error_of(state), open_connection) is expected
    closed = cast("Connection", SimpleNamespace(closed=True))
    assert outcome(error_of(state), closed) is Outcome.UNKNOWN


def test_without_a_sqlstate_nobody_knows():
    connection = cast("Connection", SimpleNamespace(closed=False))
    assert outcome(psycopg.OperationalError("gone"), connection) is Outcome.UNKNOWN


def test_an_error_is_explained_in_one_line():
    assert explain(psycopg.errors.lookup("57P03")("no leader\nDETAIL: x")) == "57P03: no leader"
    assert explain(psycopg.OperationalError("")) == "OperationalError"


class TestTheWriter:
    def write(
        self, monkeypatch: pytest.MonkeyPatch, script: Script, acknowledged: int
    ) -> tuple[Writes, Writer]:
        clock = ManualClock()
        monkeypatch.setattr(trouble, "connect", script.open)
        writer = Writer(cast("NodeProcess", Node()), Watch(clock), clock)
        writer.write_until(acknowledged)
        return writer.writes, writer

    def test_numbers_are_never_used_twice(self, monkeypatch: pytest.MonkeyPatch):
        script = Script("ok", "57P03", "40003", LOST, "ok", "ok")
        writes, _ = self.write(monkeypatch, script, 3)
        assert script.seen == [[1], [2], [3], [4], [5], [6]]
        assert writes.acknowledged == [1, 5, 6]
        assert writes.refused == [2]
        assert writes.unknown == [3, 4]
        assert script.opened == 2  # Once at first, once after the loss.

    def test_it_gives_up_when_nothing_is_acknowledged_for_long(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        with pytest.raises(NoRecovery) as caught:
            self.write(monkeypatch, Script("57P03"), 1)
        assert "57P03" in caught.value.hint


class TestWhatWasRead:
    WRITES = Writes(acknowledged=[1, 2, 5], unknown=[3], refused=[4])

    @pytest.mark.parametrize("there", [[1, 2, 5], [1, 2, 3, 5]])
    def test_unknown_rows_may_be_there_or_not(self, there: list[int]):
        assert self.WRITES.wrong(there) == []

    @pytest.mark.parametrize(
        ("there", "message"),
        [
            ([1, 5], "1 acknowledged rows are missing, the first is 2"),
            ([], "3 acknowledged rows are missing, the first is 1"),
            ([1, 2, 4, 5], "1 rows that were refused are there: 4"),
            ([1, 2, 5, 9], "1 rows that were refused are there: 9"),
            ([1, 2, 2, 5], "1 rows come twice"),
        ],
    )
    def test_what_must_not_be_is_told(self, there: list[int], message: str):
        assert self.WRITES.wrong(there) == [message]

    def test_the_gap_is_the_longest_time_between_two_acknowledgements(self):
        assert Writes(acknowledged_at_ns=[0, 10**9, 4 * 10**9, 5 * 10**9]).gap_s() == 3.0
        assert Writes(acknowledged_at_ns=[7]).gap_s() == 0


class TestTheLoader:
    def write(self, monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
        clock = ManualClock()
        monkeypatch.setattr(load, "connect", script.open)
        writer = BatchWriter(cast("NodeProcess", Node()), BIRDS, Watch(clock), clock)
        writer.write([("wren", "9"), ("swift", None)])

    def test_a_batch_is_one_flat_list_of_values(self, monkeypatch: pytest.MonkeyPatch):
        script = Script("ok")
        self.write(monkeypatch, script)
        assert script.seen == [["wren", "9", "swift", None]]

    @pytest.mark.parametrize("first", ["40001", "57P03", "25006", "40003", LOST])
    def test_what_may_go_better_is_tried_again(self, monkeypatch: pytest.MonkeyPatch, first: str):
        script = Script(first, "ok")
        self.write(monkeypatch, script)
        assert len(script.seen) == 2

    def test_a_connection_that_fails_has_done_nothing(self, monkeypatch: pytest.MonkeyPatch):
        script = Script(NOBODY, "ok")
        self.write(monkeypatch, script)
        assert (script.opened, len(script.seen)) == (2, 1)
        with pytest.raises(LoadFailed, match="23505"):
            self.write(monkeypatch, Script(NOBODY, "23505"))

    @pytest.mark.parametrize("first", ["40003", LOST])
    def test_a_duplicate_after_an_unknown_outcome_means_that_it_was_done(
        self, monkeypatch: pytest.MonkeyPatch, first: str
    ):
        self.write(monkeypatch, Script(first, "57P03", "23505"))

    @pytest.mark.parametrize("script", [("23505",), ("57P03", "23505"), ("22003",), ("57P03",)])
    def test_everything_else_ends_the_load(
        self, monkeypatch: pytest.MonkeyPatch, script: tuple[str, ...]
    ):
        with pytest.raises(LoadFailed, match=script[-1]):
            self.write(monkeypatch, Script(*script))
