"""Counters and sizes of the core as Prometheus text: the one file that sees prometheus-client."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from phantomdb.core import GroupStatus

_GAUGES = {
    "table_bytes": "Bytes of all tables.",
    "memtable_bytes": "Bytes of the memtables, frozen ones included.",
    "frozen_memtables": "Memtables that wait for a flush.",
    "cache_bytes": "Bytes in the block cache.",
    "log_bytes": "Bytes of the log's segments.",
    "replayed_bytes": "Bytes of log that the last start applied to memtables.",
    "cut_bytes": "Bytes that the last start cut from the log's torn tail.",
    "disk_free_bytes": "Free bytes of the disk with the data directory, when last looked at.",
    "disk_total_bytes": "Size of that disk in bytes.",
    "disk_reserve_bytes": "Bytes of it that are kept for the node: under it, writes are refused.",
    "disk_pending_ms": "Milliseconds that the oldest write or sync is under way; 0 if none is.",
    "disk_short": "1 while less than the reserve is free, else 0.",
    "sql_memory_bytes": "Bytes that statements hold: rows, batches, values, writes.",
    "sql_memory_limit_bytes": "Bytes that statements may hold (--sql-memory).",
    "connections": "Connections of clients and other nodes.",
    "links": "Links to other nodes that are up.",
    "requests": "Requests at groups led here that have not ended.",
    "sessions": "Sessions of clients.",
    "flows": "Statements given to leaders that have not ended.",
    "catalog_version": "Applied index of the newest catalog.",
}
_COUNTERS = {
    "cache_hits": "Block look-ups answered by the cache.",
    "cache_misses": "Block look-ups that read the disk.",
    "flushes": "Flushes done.",
    "compactions": "Compactions done.",
    "table_bytes_written": "Bytes written by flushes and compactions.",
    "stalls": "Writes that waited for work in the background.",
    "statement_repeats": "Statements begun again because a row had changed.",
    "sql_memory_refused": "Times that statements asked for more than was left.",
    "statements": "Statements run for sessions.",
    "barriers_by_lease": "Read barriers that a lease opened at once.",
    "barriers_by_round": "Read barriers that waited for a round or for a leader's word.",
    "turns": "Turns of the reactor.",
    "slow_turns": "Turns that took 50 ms or more.",
    "elections_alone": "Elections held without the control plane, which did not come.",
}


#: How the reactor's counts of connections that have ended begin; the rest is the reason.
_ENDED = "ended_"


class _Collector:
    def __init__(
        self, stats: Callable[[], dict[str, int]], groups: Callable[[], Sequence[GroupStatus]]
    ) -> None:
        self._stats = stats
        self._groups = groups

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        for name, help_ in _GAUGES.items():
            yield GaugeMetricFamily(f"phantomdb_{name}", help_, value=stats[name])
        for name, help_ in _COUNTERS.items():
            yield CounterMetricFamily(f"phantomdb_{name}", help_, value=stats[name])
        help_ = "Seconds that turns of the reactor took."
        yield CounterMetricFamily("phantomdb_turn_seconds", help_, value=stats["turn_us"] / 1e6)
        yield _endings(stats)
        yield self._of_groups("term", "Term of the group.", lambda group: group.term)
        help_ = "Commit index of the group's replica here."
        yield self._of_groups("commit", help_, lambda group: group.commit)
        help_ = "Applied index of the group's replica here."
        yield self._of_groups("applied", help_, lambda group: group.applied)

    def _of_groups(
        self, name: str, help_: str, value: Callable[[GroupStatus], int]
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"phantomdb_group_{name}", help_, labels=["group"])
        for group in self._groups():
            family.add_metric([str(group.id)], value(group))
        return family


def _endings(stats: dict[str, int]) -> CounterMetricFamily:
    help_ = "Connections that have ended, by reason."
    family = CounterMetricFamily("phantomdb_connections_ended", help_, labels=["why"])
    for name, count in stats.items():
        if name.startswith(_ENDED):
            family.add_metric([name.removeprefix(_ENDED)], count)
    return family


def exposition(
    stats: Callable[[], dict[str, int]], groups: Callable[[], Sequence[GroupStatus]]
) -> Callable[[], tuple[bytes, str]]:
    """Return what makes the text of `/metrics` and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(stats, groups))

    def make() -> tuple[bytes, str]:
        return generate_latest(registry), CONTENT_TYPE_LATEST

    return make
