from datetime import UTC, datetime
from decimal import Decimal

import pytest

from phantomdb.base.errors import PhantomError
from phantomdb.cli.output import TerminalOutput, cell


class ManualClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (336_776, "336,776"),
        (12.4397, "12.44"),
        (Decimal("12.4397"), "12.44"),
        (Decimal("7.000"), "7"),
        (datetime(2013, 3, 8, 14, 30, tzinfo=UTC), "2013-03-08 14:30"),
        (datetime(2013, 3, 8, tzinfo=UTC), "2013-03-08"),
        ("N14228", "N14228"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, text: str):
    assert cell(value) == text


def test_a_table_shows_its_first_rows_and_how_many_follow(capsys: pytest.CaptureFixture[str]):
    output = TerminalOutput(ManualClock())
    output.table(("name", "grams"), [("wren", 9), ("swift", None), ("crow", 1_500)], rows_max=2)
    head, _, *rows, more = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "grams"]
    assert [row.split() for row in rows] == [["wren", "9"], ["swift", "-"]]
    assert more == "... and 1 more"


def test_numbers_stand_to_the_right_beside_cells_that_are_left_empty(
    capsys: pytest.CaptureFixture[str],
):
    TerminalOutput(ManualClock()).table(("group", "replica"), [(1, "n1"), ("", "n2")])
    assert capsys.readouterr().out.splitlines()[2].startswith("    1   n1")


def test_markup_in_values_is_text(capsys: pytest.CaptureFixture[str]):
    output = TerminalOutput(ManualClock())
    output.say("[bold]loud[/bold] :smile:")
    output.table(("[red]x",), [("[/]",)])
    shown = capsys.readouterr().out
    assert "[bold]loud[/bold] :smile:" in shown
    assert "[red]x" in shown
    assert "[/]" in shown


def test_verdicts_say_what_and_why(capsys: pytest.CaptureFixture[str]):
    output = TerminalOutput(ManualClock())
    output.verdict("all rows are there", holds=True, detail="7 rows")
    output.verdict("all rows are there", holds=False, detail="n2: 6 of 7")
    assert capsys.readouterr().out.splitlines() == [
        "OK  all rows are there: 7 rows",
        "FAILED  all rows are there: n2: 6 of 7",
    ]


def test_without_a_terminal_progress_is_a_line_every_five_seconds(
    capsys: pytest.CaptureFixture[str],
):
    clock = ManualClock()
    with TerminalOutput(clock).progress("flights", 100_000) as advance:
        for _ in range(12):
            clock.now_ns += 10**9
            advance(1_000)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "flights: 5,000 of 100,000 rows, 1,000 rows/s, 95 s left",
        "flights: 10,000 of 100,000 rows, 1,000 rows/s, 90 s left",
    ]


def test_an_error_goes_to_stderr_with_its_hint(capsys: pytest.CaptureFixture[str]):
    TerminalOutput(ManualClock()).fail(PhantomError("no [x] here", hint="look there"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "phantomdb: no [x] here\nlook there\n"
