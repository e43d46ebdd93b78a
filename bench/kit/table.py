"""Figures beside a peer's: medians, spreads, and the table that README.md has."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """What one door did in each round: statements a second, and microseconds of CPU a statement."""

    rates: Sequence[float]
    cpu_us: Sequence[float]

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    @property
    def cpu(self) -> float:
        """The median."""
        return statistics.median(self.cpu_us)

    @property
    def spread(self) -> str:
        """The slowest and the fastest round."""
        return f"{min(self.rates):,.0f}..{max(self.rates):,.0f}"


def row(what: str, peer: str, doors: Mapping[str, Cell]) -> str:
    """Return a row of the table: each door's median and its ratio to the peer's, and its CPU."""
    cells = [what]
    for door, cell in doors.items():
        ratio = "" if door == peer else f" ({cell.rate / doors[peer].rate:.2f}x)"
        cells.append(f"{cell.rate:,.0f}{ratio}, {cell.cpu:.0f} us")
    return f"| {' | '.join(cells)} |"


def figures(peer: str, doors: Mapping[str, Cell]) -> dict[str, object]:
    """Return the same for the record."""
    found: dict[str, object] = {}
    for door, cell in doors.items():
        found[f"{door} rate"] = round(cell.rate)
        found[f"{door} spread"] = cell.spread
        found[f"{door} cpu us"] = round(cell.cpu, 1)
        if door != peer:
            found[f"{door} / {peer}"] = round(cell.rate / doors[peer].rate, 3)
            found[f"{door} / {peer} cpu"] = round(cell.cpu / doors[peer].cpu, 3)
    return found
