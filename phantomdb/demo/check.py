"""What must hold: the demo collects it and is judged by it."""

from dataclasses import dataclass, field

from phantomdb.demo.output import Output


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that held or did not."""

    name: str
    holds: bool
    detail: str


@dataclass(slots=True)
class Checks:
    """All of them, told as they come."""

    output: Output
    done: list[Check] = field(default_factory=list)

    def add(self, name: str, *, holds: bool, detail: str = "") -> None:
        """Keep a result and tell it."""
        self.done.append(Check(name, holds, detail))
        self.output.verdict(name, holds=holds, detail=detail)

    @property
    def failed(self) -> list[Check]:
        """Those that did not hold."""
        return [check for check in self.done if not check.holds]
