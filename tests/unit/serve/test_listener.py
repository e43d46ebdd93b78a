import errno
from typing import cast

import pytest
import trio
import trio.testing

from phantomdb.base.world import Address, Listener, Stream
from phantomdb.serve import listener

#: What `accept` hands on of a connection that failed before it was taken.
OF_ONE_CLIENT = ["ECONNABORTED", "EPERM", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "ETIMEDOUT"]
#: What this process or its system lacks for a moment.
SHORTAGES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]


class Door:
    """A listener whose first `accept` fails; the next gives one client."""

    address = Address("fake", 1)

    def __init__(self, number: int) -> None:
        self._error: OSError | None = OSError(number, "it failed")

    async def accept(self) -> Stream:
        await trio.lowlevel.checkpoint()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return trio.testing.memory_stream_pair()[0]

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.usefixtures("autojump_clock")
@pytest.mark.parametrize("name", [*OF_ONE_CLIENT, *SHORTAGES])
async def test_an_error_of_one_client_ends_no_door(name: str) -> None:
    served, drain = trio.Event(), trio.Event()

    async def session(_stream: Stream) -> None:
        served.set()

    door = cast("Listener", Door(getattr(errno, name)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: listener.serve(door, session, drain, slots=1, grace_s=0.0))
        await served.wait()
        drain.set()


@pytest.mark.usefixtures("autojump_clock")
async def test_a_door_that_is_broken_ends_its_node() -> None:
    async def session(_stream: Stream) -> None:
        raise AssertionError("nobody came")

    door = cast("Listener", Door(errno.EBADF))
    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        await listener.serve(door, session, trio.Event(), slots=1, grace_s=0.0)
