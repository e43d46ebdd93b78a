"""Disks that are slow: syncs take as long as a preloaded library says (`kit/shims/slow_sync.c`)."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from kit.cluster import (
    LOOK_S,
    ROWS_GROUP,
    SYSTEM_GROUP,
    leader_of,
    running_cluster,
    session,
    wait_ready,
    wait_until,
)
from kit.shims.troubled import Trouble, build_slow_sync
from kit.steady import settled

from phantomdb.client import view
from phantomdb.client.processes import NodeProcess

#: How long a process may take to do next to nothing, in seconds.
PATIENCE_S = 30.0
#: Longer than any test runs, in milliseconds.
FOR_EVER_MS = 600_000
#: What a sync takes on a slow disk, in milliseconds, and how long it is looked at, in seconds.
SLOW_MS = 500
SLOW_S = 20.0
INSERT = "INSERT INTO rows VALUES ($1) ON CONFLICT DO NOTHING"
SYNC_A_FILE = "import os, sys; print('begins', flush=True); os.fsync(os.open(sys.argv[1], 2))"


def test_the_library_lets_a_sync_that_hangs_go_on_when_it_is_told_so(tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.write_text(f"{FOR_EVER_MS}\n")
    trouble = {
        "LD_PRELOAD": str(build_slow_sync(tmp_path)),
        "PHANTOM_SLOW_SYNC": str(told),
    }
    command = [sys.executable, "-c", SYNC_A_FILE, str(told)]
    with subprocess.Popen(command, env=os.environ | trouble, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        # It cannot end by itself, however late this is looked at.
        assert process.poll() is None
        told.write_text("0\n")
        assert process.wait(PATIENCE_S) == 0


def terms(node: NodeProcess) -> list[int]:
    """Return the terms of all groups."""
    seen = view.look(node.admin, LOOK_S)
    return [seen.group(group).term for group in (SYSTEM_GROUP, ROWS_GROUP)]


@contextmanager
def clients(nodes: Sequence[NodeProcess]) -> Iterator[list[int]]:
    """Insert rows through all nodes at once; gives how many each has been told of."""
    ended, written = threading.Event(), [0] * len(nodes)

    def insert(at: int) -> None:
        with session(nodes[at]) as db:
            while not ended.is_set():
                row = written[at] * len(nodes) + at
                settled(partial(db.execute, INSERT, (row,)))
                written[at] += 1

    with ThreadPoolExecutor(len(nodes)) as pool:
        running = [pool.submit(insert, at) for at in range(len(nodes))]
        try:
            yield written
        finally:
            ended.set()
        for future in running:
            future.result()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_where_every_sync_takes_half_a_second_the_leaders_stay_and_writes_go_on(
    tmp_path: Path,
) -> None:
    trouble = Trouble(tmp_path)
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        with session(cluster.nodes[0]) as db:
            settled(lambda: db.execute("CREATE TABLE rows (k int4 PRIMARY KEY)"))
        before = terms(cluster.nodes[0])
        trouble.slow_syncs(["n1", "n2", "n3"], ms=SLOW_MS)
        with clients(cluster.nodes) as written:
            cluster.watch(SLOW_S)
            told = list(written)
        assert terms(cluster.nodes[0]) == before
        # A write waits for the sync that is under way and for its own.
        assert min(told) >= SLOW_S * 1_000 / (2 * SLOW_MS), told
        trouble.slow_syncs(["n1", "n2", "n3"], ms=0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_whose_disks_are_slow_from_the_start_elects_and_keeps_its_leaders(
    tmp_path: Path,
) -> None:
    trouble = Trouble(tmp_path)
    trouble.slow_syncs(["n1", "n2", "n3"], ms=SLOW_MS)
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        with session(cluster.nodes[0]) as db:
            settled(lambda: db.execute("CREATE TABLE rows (k int4 PRIMARY KEY)"))
        before = terms(cluster.nodes[0])
        cluster.watch(SLOW_S)
        assert terms(cluster.nodes[0]) == before
        trouble.slow_syncs(["n1", "n2", "n3"], ms=0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("ms", [SLOW_MS, FOR_EVER_MS])
def test_a_leader_whose_disk_alone_is_slow_or_hangs_is_replaced(tmp_path: Path, ms: int) -> None:
    trouble = Trouble(tmp_path)
    with running_cluster(tmp_path, command=trouble.command) as cluster:
        with session(cluster.nodes[0]) as db:
            settled(lambda: db.execute("CREATE TABLE rows (k int4 PRIMARY KEY)"))
        slow = leader_of(cluster, ROWS_GROUP)
        others = [node for node in cluster.nodes if node is not slow]
        trouble.slow_syncs([slow.name], ms=ms)
        with clients(others) as written:
            wait_until(others[0], "another leads", lambda: leads_elsewhere(others[0], slow))
            before = list(written)
            wait_until(
                others[0],
                "writes go on",
                lambda: all(now > then + 10 for now, then in zip(written, before, strict=True)),
            )
        trouble.slow_syncs([slow.name], ms=0)
        wait_ready(slow)


def leads_elsewhere(asked: NodeProcess, slow: NodeProcess) -> bool:
    """Whether a node knows another leader of the rows."""
    leader = view.look(asked.admin, LOOK_S).group(ROWS_GROUP).leader
    return leader not in {None, slow.name}
