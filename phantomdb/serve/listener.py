"""Accept connections until told to drain, a task for each.

A door has a bound of connections, whose slots are taken before `accept`: who comes beyond it waits
outside, in the kernel's backlog, and the node keeps the descriptors that its files need.
"""

import errno
import logging
from collections.abc import Awaitable, Callable

import trio

from phantomdb.base.world import Address, Listener, Stream

logger = logging.getLogger(__name__)

#: What a connection is served by. It closes nothing: the listener does.
Session = Callable[[Stream], Awaitable[None]]

#: Errors of `accept` that are one client's: it left, a firewall refused it, or its network failed
#: before it was taken (Linux hands such an error on as its own).
_OF_ONE_CLIENT = {
    *(errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENONET, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    errno.ETIMEDOUT,
}
#: Errors that pass: these, or descriptors and memory are short for a moment.
_PASSING = _OF_ONE_CLIENT | {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
#: How long to wait when descriptors are short, in seconds.
_SHORTAGE_S = 0.1
#: How often it is said at most that a door is full, in seconds.
_SAY_S = 60.0


async def serve(
    listener: Listener,
    session: Session,
    drain: trio.Event,
    *,
    slots: int,
    grace_s: float,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run `session(stream)` for each connection, `slots` at once, until `drain` is set.

    Cancelling ends every session where it stands. Draining closes the listener, lets sessions end
    by themselves, and ends what is left after `grace_s`.
    """
    async with trio.open_nursery() as sessions:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(_accept, listener, session, sessions, trio.Semaphore(slots))
            task_status.started(listener.address)
            await drain.wait()
            accepting.cancel_scope.cancel()
        await listener.aclose()
        sessions.cancel_scope.deadline = trio.current_time() + grace_s


async def _accept(
    listener: Listener, session: Session, sessions: trio.Nursery, slots: trio.Semaphore
) -> None:
    said = -_SAY_S
    while True:
        if slots.value == 0 and trio.current_time() - said >= _SAY_S:
            said = trio.current_time()
            logger.warning("%s has no room for more connections: they wait", listener.address)
        await slots.acquire()
        stream = await _next(listener)
        sessions.start_soon(_one, session, stream, slots)


async def _next(listener: Listener) -> Stream:
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            logger.warning("accept: %s", error)
            await trio.sleep(_SHORTAGE_S)


async def _one(session: Session, stream: Stream, slots: trio.Semaphore) -> None:
    try:
        await session(stream)
    except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
        # Of a task of the session or of both, so it comes in groups. The client is gone; what its
        # session held is let go below and by the session.
        pass
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await stream.aclose()
        slots.release()
