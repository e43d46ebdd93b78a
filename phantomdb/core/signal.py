"""A flag that one task sets and one task waits for, again and again."""

import trio


class Signal:
    """Set any number of times before the wait, it wakes its waiter once.

    The waiter clears it, so it looks for work after the wait and never before; nothing is lost
    between. Cancelling a wait leaves the flag as it is. At most one task waits at a time, so that
    waking it needs no queue: a node does this several times for every statement.
    """

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: trio.lowlevel.Task | None = None

    def set(self) -> None:
        """Wake the waiter, or let the next wait return at once."""
        self._is_set = True
        if self._waiter is not None:
            trio.lowlevel.reschedule(self._waiter)
            self._waiter = None

    async def wait(self) -> None:
        """Wait until it is set, and clear it."""
        if self._is_set:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            assert self._waiter is None, "one task waits at a time"
            self._waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._forget)
        self._is_set = False

    def _forget(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED
