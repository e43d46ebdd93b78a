"""Writes that come every 10 ms, whatever becomes of those before, and when each is acknowledged.

    with sql_ticks(address, "ticks") as acks:
        acks.wait_for(50)
        since = time.time()
        leader.kill()
        acks.wait_for(100)
    gap_s = acks.gap_s(since)

A write that hangs with a dead leader does not hold up the next: the gap is the longest time in
which nothing at all was acknowledged. Each write is a new row, so that what was acknowledged can be
looked for afterwards.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, pairwise

import psycopg

from phantomdb.base.world import Address

#: Between the starts of two writes, in seconds.
EVERY_S = 0.01
#: How long acknowledgements may take to come, in seconds.
PATIENCE_S = 60.0
#: Connections that are open before the first write; more are opened when all are busy.
CONNECTIONS = 16


class Acks:
    """Which writes were acknowledged, and when, in seconds of the system's clock."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}
        self._changed = threading.Condition()

    @property
    def numbers(self) -> set[int]:
        """The writes that were acknowledged."""
        with self._changed:
            return set(self._at)

    def add(self, number: int, at: float) -> None:
        """Take down an acknowledgement."""
        with self._changed:
            assert number not in self._at, f"write {number} is acknowledged twice"
            self._at[number] = at
            self._changed.notify_all()

    def wait_for(self, more: int) -> None:
        """Wait for so many more."""
        with self._changed:
            wanted = len(self._at) + more
            came = self._changed.wait_for(lambda: len(self._at) >= wanted, PATIENCE_S)
            assert came, f"only {len(self._at)} of {wanted} writes acknowledged: {PATIENCE_S:g} s"

    def gap_s(self, since: float) -> float:
        """Return the longest time between two acknowledgements, the later one after `since`."""
        with self._changed:
            ordered = sorted(self._at.values())
        return max(later - earlier for earlier, later in pairwise(ordered) if later > since)


@contextmanager
def sql_ticks(address: Address, table: str) -> Iterator[Acks]:
    """Insert a row every 10 ms through the node at `address`, while the block runs."""
    acks, stop = Acks(), threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(_tick(address, table, acks, stop))
        except BaseException as error:  # noqa: BLE001 - a thread's failure is told by its owner.
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield acks
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        # What went wrong in the client is why the block saw too few acknowledgements.
        assert not failed, failed[0]
        assert not thread.is_alive(), "the client that ticks hangs"


async def _tick(address: Address, table: str, acks: Acks, stop: threading.Event) -> None:
    idle = [await _connect(address) for _ in range(CONNECTIONS)]
    statement = f"INSERT INTO {table} VALUES (%s, %s)"
    filler = "x" * 248

    async def write(number: int) -> None:
        db = None
        try:
            db = idle.pop() if idle else await _connect(address)
            await db.execute(statement, (number, filler))
            acks.add(number, time.time())
        except psycopg.Error:
            pass  # A failed write is one without an acknowledgement: leaders die here.
        if db is not None and not db.closed:
            idle.append(db)

    async with asyncio.TaskGroup() as writes:
        start = time.monotonic()
        for number in count(1):
            if stop.is_set():
                break
            writes.create_task(write(number))
            await asyncio.sleep(start + number * EVERY_S - time.monotonic())
    for db in idle:
        await db.close()


async def _connect(address: Address) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host=address.host,
        port=address.port,
        user="postgres",
        dbname="postgres",
        autocommit=True,
        prepare_threshold=0,
    )
