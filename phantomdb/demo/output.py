"""How the demo speaks to whoever started it; `cli/output.py` does it for terminals."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

#: What a cell of a table may hold; the output gives it its form.
Cell = object


class Output(Protocol):
    """What is told to people."""

    def say(self, text: str) -> None:
        """Tell one line."""
        ...

    def heading(self, text: str) -> None:
        """Begin a part."""
        ...

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, rows_max: int | None = None
    ) -> None:
        """Show rows, the first `rows_max` and how many there are beyond."""
        ...

    def verdict(self, name: str, *, holds: bool, detail: str = "") -> None:
        """Tell whether something holds."""
        ...

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Show how far a long work is: the function is told of each further step."""
        ...
