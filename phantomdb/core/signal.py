"""A flag that one task sets and one task waits for, again and again."""

import trio


class Signal:
    """Set any number of times before the wait, it wakes its waiter once.

    The waiter clears it, so it looks for work after the wait and never before; nothing is lost
    between. Cancelling a wait leaves the flag as it is.
    """

    __slots__ = ("_is_set", "_lot")

    def __init__(self) -> None:
        self._is_set = False
        self._lot = trio.lowlevel.ParkingLot()

    def set(self) -> None:
        """Wake the waiter, or let the next wait return at once."""
        self._is_set = True
        self._lot.unpark()

    async def wait(self) -> None:
        """Wait until it is set, and clear it."""
        if self._is_set:
            self._is_set = False
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        while not self._is_set:
            await self._lot.park()
        self._is_set = False
