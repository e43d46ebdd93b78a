"""What verbs print: calm tables for people on stdout, progress on stderr.

Without a terminal there are no colours and no moving bars: a long work says how far it is in a
line every five seconds.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.table import Table
from rich.text import Text

from phantomdb.base.errors import PhantomError
from phantomdb.base.world import Clock

#: Between two lines of progress where there is no terminal, in seconds.
LINE_S = 5.0
#: Columns of output that is not a terminal's: wide enough for the tables that we print.
WIDTH = 100


class TerminalOutput:
    """Prints to stdout and stderr."""

    def __init__(self, clock: Clock, *, no_color: bool = False) -> None:
        self._clock = clock
        self._out = _console(no_color=no_color, stderr=False)
        self._err = _console(no_color=no_color, stderr=True)

    def say(self, text: str) -> None:
        """Print one line."""
        self._out.print(escape(text), highlight=False, soft_wrap=True)

    def heading(self, text: str) -> None:
        """Begin a part."""
        self._out.print()
        self._out.print(escape(text), style="bold", highlight=False, soft_wrap=True)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        rows_max: int | None = None,
    ) -> None:
        """Print rows; numbers stand to the right, an absent value is a dash."""
        shown = rows[:rows_max]
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for at, column in enumerate(columns):
            values = [row[at] for row in shown if row[at] not in (None, "")]
            is_number = bool(values) and all(map(_is_number, values))
            table.add_column(escape(column), justify="right" if is_number else "left")
        for row in shown:
            table.add_row(*(escape(cell(value)) for value in row))
        self._out.print(table)
        if len(shown) < len(rows):
            self.say(f"... and {len(rows) - len(shown):,} more")

    def verdict(self, name: str, *, holds: bool, detail: str = "") -> None:
        """Print whether something holds."""
        mark = Text("OK", "green") if holds else Text("FAILED", "bold red")
        text = Text.assemble(mark, f"  {name}", f": {detail}" if detail else "")
        self._out.print(text, soft_wrap=True)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far a work of `total` rows is."""
        if not self._err.is_terminal:
            yield self._lines(label, total)
            return
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeLeft(),
            console=self._err,
            transient=True,
        )
        with bar:
            task = bar.add_task(label, total=total)
            yield lambda rows: bar.advance(task, rows)

    def fail(self, error: PhantomError) -> None:
        """Print an error and what to do about it to stderr."""
        self._err.print(f"phantomdb: {escape(error.message)}", highlight=False, soft_wrap=True)
        if error.hint:
            self._err.print(escape(error.hint), highlight=False, soft_wrap=True)

    def _lines(self, label: str, total: int) -> Callable[[int], None]:
        start_ns = said_ns = self._clock.monotonic_ns()
        done = 0

        def advance(rows: int) -> None:
            nonlocal said_ns, done
            done += rows
            now_ns = self._clock.monotonic_ns()
            if now_ns - said_ns >= LINE_S * 1e9:
                said_ns = now_ns
                rate = done / (now_ns - start_ns) * 1e9
                left_s = (total - done) / rate
                self._err.print(
                    f"{label}: {done:,} of {total:,} rows, {rate:,.0f} rows/s, {left_s:.0f} s left",
                    highlight=False,
                    soft_wrap=True,
                )

        return advance


class _Rate(ProgressColumn):
    """Rows per second."""

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} rows/s" if speed else "")


def cell(value: object) -> str:
    """Return a value as people read it: thousands apart, times in minutes, two digits."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case Decimal() if value == value.to_integral_value():
            return f"{int(value):,}"
        case float() | Decimal():
            return f"{value:,.2f}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
        case _:
            return str(value)


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return value.replace(",", "").replace(".", "", 1).isdecimal()
    return isinstance(value, int | float | Decimal)


def _console(*, no_color: bool, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(file=stream, no_color=no_color, width=width, highlight=False, emoji=False)
