"""Processor time of servers, families of processes, from /proc; and one core for all of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    """Return the fields behind the name; `None` for a process that has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))) is not None:
            parents[int(entry.name)] = int(stat[1])
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def used_s(pids: list[int]) -> float:
    """Return the processor time of families, in seconds, with that of children that have ended."""
    total = 0
    for pid in pids:
        for member in family(pid):
            if (stat := _stat(member)) is not None:
                total += sum(map(int, stat[11:15]))
    return total * _TICK_S


@contextmanager
def one_core(pids: list[int]) -> Iterator[None]:
    """Keep families on one core meanwhile, this process and what it starts included."""
    before = os.sched_getaffinity(0)
    core = {min(before)}
    _pin([*pids, os.getpid()], core)
    try:
        yield
    finally:
        _pin([*pids, os.getpid()], before)


def _pin(pids: list[int], cores: set[int]) -> None:
    for pid in pids:
        for member in family(pid):
            for thread in Path(f"/proc/{member}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)
