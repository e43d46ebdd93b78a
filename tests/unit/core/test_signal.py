import trio
from trio.testing import wait_all_tasks_blocked

from phantomdb.core import Signal


async def test_set_before_the_wait_it_wakes_once() -> None:
    signal = Signal()
    signal.set()
    signal.set()
    await signal.wait()
    with trio.move_on_after(0) as scope:
        await signal.wait()
    assert scope.cancelled_caught


async def test_set_during_the_wait_it_wakes_and_is_cleared() -> None:
    signal, woken = Signal(), []

    async def wait() -> None:
        for n in range(2):
            await signal.wait()
            woken.append(n)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for n in range(2):
            await wait_all_tasks_blocked()
            assert woken == list(range(n))
            signal.set()
            signal.set()


async def test_a_cancelled_wait_leaves_the_flag_to_the_next() -> None:
    signal = Signal()
    with trio.move_on_after(0):
        await signal.wait()
    signal.set()
    await signal.wait()
