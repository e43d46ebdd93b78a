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


def times_row(what: str, peer: str, doors: Mapping[str, Sequence[float]]) -> str:
    """Return a row of milliseconds: each door's median, its ratio to the peer's, its spread."""
    cells = [what]
    beside = statistics.median(doors[peer])
    for door, times in doors.items():
        median = statistics.median(times)
        ratio = "" if door == peer else f" ({median / beside:.2f}x)"
        cells.append(f"{median:,.2f} ms{ratio}, {min(times):,.2f}..{max(times):,.2f}")
    return f"| {' | '.join(cells)} |"


def times_figures(peer: str, doors: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Return the same for the record."""
    beside = statistics.median(doors[peer])
    found: dict[str, object] = {}
    for door, times in doors.items():
        median = statistics.median(times)
        found[f"{door} p50 ms"] = round(median, 3)
        found[f"{door} p50 ms spread"] = f"{min(times):,.2f}..{max(times):,.2f}"
        if door != peer:
            found[f"{door} / {peer} p50"] = round(median / beside, 3)
    return found


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
