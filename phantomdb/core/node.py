"""`Node`: the core with its errors raised as ours, its answers found by token, its events told.

One task runs `pump`, the only caller of `poll`. Whatever goes into the core stirs it, and it then
works once for all that came in since; two more tasks stir it, `listen` for what the core's workers
have ready, `alarm` when it is time. Waiting for an answer, a link or a session is waiting on an
event of that link or session, which the pump sets; nothing is polled.

Cancelling a wait for rows forgets the answer. A write that was cancelled may still happen.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cbor2
import trio

from phantomdb import _core  # noqa: TID251 - this package is its door
from phantomdb.base.errors import (
    Corrupted,
    DiskFailed,
    NotFormed,
    PhantomError,
    Refused,
    by_sqlstate,
)
from phantomdb.base.world import World
from phantomdb.core.events import ControlReceived, Event, decode_event
from phantomdb.core.rows import Row, RowSpan, RowWrite
from phantomdb.core.session_events import Remark, SessionEvent, decode_session_event
from phantomdb.core.signal import Signal
from phantomdb.core.status import GroupStatus, decode_status


@contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except _core.CoreError as error:
        raise _answer(error) from error


def _answer(error: "_core.CoreError") -> PhantomError:
    sqlstate, message = error.args
    return by_sqlstate(sqlstate, message)


def _ended(error: "_core.CoreError") -> PhantomError:
    """Return why the core has ended: damage, or a disk that took no bytes."""
    answer = _answer(error)
    return answer if isinstance(answer, Corrupted) else DiskFailed(answer.message)


def claim(directory: str, fresh: bytes) -> bytes:
    """Return the name of a directory before it is formed: `fresh`, or the one it was given first.

    Durable on return. Raises `PhantomError` if the directory cannot be made or read.
    """
    with _answers():
        return bytes(_core.NodeCore.claim(directory, fresh))


class Node:
    """The core of one node."""

    def __init__(self, core: "_core.NodeCore", world: World) -> None:
        self._core = core
        self._world = world
        self._links: dict[tuple[int, int], Signal] = {}
        self._sessions: dict[int, Signal] = {}
        self._waiting: dict[int, tuple[trio.Event, list[bytes]]] = {}
        self._token = 0
        #: Something went into the core since it was driven last.
        self._stirred = Signal()
        #: When the pump is stirred if nobody else does, in trio's time; that this was put forward.
        self._alarm_at = math.inf
        self._rearmed = Signal()
        #: Whether the core has ended itself: nothing that is not acknowledged is certain.
        self.has_failed = False
        #: Told of all that the core says without having been asked.
        self.on_event: Callable[[Event], None] = lambda _event: None
        identity = cbor2.loads(core.identity())
        self.cluster: int = identity[0]
        self.id: int = identity[1]
        self.incarnation: int = identity[2]
        #: Node id to (name, peer address).
        self.members: dict[int, tuple[str, str]] = {n: (name, at) for n, name, at in identity[3]}
        #: The message that founded the cluster; empty if the directory holds none.
        self.charter: bytes = identity[4]

    @staticmethod
    def form(
        directory: str,
        cluster: int,
        node: int,
        members: Sequence[tuple[int, str, str]],
        *,
        charter: bytes,
    ) -> None:
        """Make a directory a node of a cluster, once in its life; durable on return.

        `members` are (node id, name, peer address); `charter` is kept beside them.
        """
        with _answers():
            formation = cbor2.dumps([cluster, node, [list(member) for member in members]])
            _core.NodeCore.form(directory, formation, charter)

    @classmethod
    def open(
        cls,
        directory: str,
        world: World,
        *,
        memory_bytes: int,
        sql_memory_bytes: int,
        cores: int,
        sessions_max: int,
    ) -> "Node":
        """Open a formed directory; replays its log.

        The engine has `memory_bytes`, and all statements together `sql_memory_bytes`.

        Raises `NotFormed`, `InUse`, `Corrupted`.
        """
        seed = int.from_bytes(world.random.randbytes(8), "big")
        with _answers():
            settings = cbor2.dumps([memory_bytes, cores, sessions_max, sql_memory_bytes])
            try:
                core = _core.NodeCore.open(directory, settings, seed)
            except _core.CoreError as error:
                if error.args[0] == Refused.sqlstate:
                    raise NotFormed(f"{directory} belongs to no cluster yet") from error
                raise
        return cls(core, world)

    async def pump(self) -> None:
        """Drive the core for ever."""
        while True:
            try:
                effects = self._core.poll()
            except _core.CoreError as error:
                self.has_failed = True
                raise _ended(error) from error
            self._tell(effects)
            if effects.sleep_us == 0:
                await trio.lowlevel.checkpoint()
                continue
            alarm_at = trio.current_time() + effects.sleep_us / 1e6
            if alarm_at < self._alarm_at:
                self._alarm_at = alarm_at
                self._rearmed.set()
            await self._stirred.wait()

    async def alarm(self) -> None:
        """Stir the pump when the core wants to be driven again, for ever.

        The core's next time moves on with every turn. The alarm stays where it was set first, and
        is set anew when it has rung: thousands of turns a second need no timer each.
        """
        while True:
            with trio.move_on_at(self._alarm_at):
                await self._rearmed.wait()
            if trio.current_time() >= self._alarm_at:
                self._alarm_at = math.inf
                self._stirred.set()

    async def listen(self) -> None:
        """Stir the pump for what the core's workers have done, for ever."""
        wake = self._core.wakefd()
        while True:
            await self._world.wait_readable(wake)
            self._core.heard()
            self._stirred.set()

    def _tell(self, effects: "_core.Effects") -> None:
        """Wake whoever waits for what the core has."""
        for link in effects.out:
            signal = self._links.get(link)
            if signal is not None:
                signal.set()
        for session in effects.sessions:
            signal = self._sessions.get(session)
            if signal is not None:
                signal.set()
        for token, outcome in effects.rows:
            waiting = self._waiting.get(token)
            if waiting is not None:
                waiting[1].append(outcome)
                waiting[0].set()
        for peer, message in effects.control:
            self.on_event(ControlReceived(peer, message))
        for encoded in effects.events:
            self.on_event(decode_event(encoded))

    # Peers.

    def link(self, peer: int, stream: int) -> Signal:
        """Return the signal that a stream to a peer has bytes to send; a new link takes it over."""
        signal = self._links[peer, stream] = Signal()
        return signal

    def link_signal(self, peer: int, stream: int) -> Signal:
        """Return the signal of a stream that has one."""
        return self._links[peer, stream]

    def connected(self, peer: int, incarnation: int) -> None:
        """Say that both streams to a peer begin anew."""
        self._core.connected(peer, incarnation)
        self._stirred.set()

    def disconnected(self, peer: int) -> None:
        """Say that a peer is gone."""
        self._core.disconnected(peer)
        self._stirred.set()

    def feed(self, peer: int, stream: int, data: bytes) -> int:
        """Take bytes of a peer; fewer than given means later."""
        self._stirred.set()
        try:
            return self._core.feed(peer, stream, data)
        except _core.CoreError as error:
            raise _answer(error) from error

    def take_out(self, peer: int, stream: int) -> bytes | None:
        """Return bytes for a peer."""
        return self._core.take_out(peer, stream)

    def send_control(self, peer: int, message: bytes) -> None:
        """Send a message of the control plane."""
        self._core.send_control(peer, message)
        self._stirred.set()

    def hlc(self) -> int:
        """Return the hybrid clock."""
        return self._core.hlc()

    # Groups.

    def campaign(self, groups: list[int]) -> list[str]:
        """Begin elections; returns a word for each group: `begun`, or why not."""
        self._stirred.set()
        return self._core.campaign(groups)

    def step_down(self, group: int) -> None:
        """Give up leadership of a group, if this node has it."""
        self._core.step_down(group)
        self._stirred.set()

    def leave(self, group: int) -> bool:
        """Hand leadership of a group over as soon as a member misses nothing.

        Nothing is proposed in it until then. False if it is not led here, or nobody could lead it.
        """
        self._stirred.set()
        return self._core.leave(group)

    def led(self) -> list[int]:
        """Return the groups that this node leads."""
        return [group.id for group in self.status() if group.leader == self.id]

    def status(self) -> list[GroupStatus]:
        """Return what is known of each group."""
        return decode_status(self._core.status())

    def stats(self) -> dict[str, int]:
        """Return counters and sizes by name."""
        return dict(cbor2.loads(self._core.stats()))

    # Rows of system tables.

    async def barrier(self, group: int) -> None:
        """Wait until this node has applied all that was committed in a group before the call."""
        await self._ask(lambda token: self._core.barrier(group, token))

    async def read_rows(self, group: int, spans: Sequence[RowSpan]) -> list[list[Row]]:
        """Read rows at a group's leader: for each span its rows in key order.

        Raises `NoLeader` after 10 s without one.
        """
        encoded = cbor2.dumps([[span.relation, span.key] for span in spans])
        found = await self._ask(lambda token: self._core.read_rows(token, group, encoded))
        return [[Row(value, version) for value, version in rows] for rows in found]

    async def write_rows(self, group: int, writes: Sequence[RowWrite]) -> int:
        """Write rows in one entry and return its commit timestamp.

        Raises `Conflict` if a key's version is not the one seen, `UnknownOutcome` if leadership
        went first, `NoLeader` after 10 s without one.
        """
        encoded = cbor2.dumps([[w.relation, w.key, w.value, w.seen] for w in writes])
        return int(await self._ask(lambda token: self._core.write_rows(token, group, encoded)))

    async def _ask(self, submit: Callable[[int], None]) -> Any:
        self._token += 1
        token = self._token
        event, answer = self._waiting[token] = (trio.Event(), [])
        try:
            with _answers():
                submit(token)
            self._stirred.set()
            await event.wait()
        finally:
            del self._waiting[token]
        ok, value = cbor2.loads(answer[0])
        if ok:
            return value
        raise by_sqlstate(value[0], value[1])

    # Sessions.

    def open_session(self) -> int:
        """Return a new session; raises `PhantomError` 53300 beyond the limit."""
        with _answers():
            session = self._core.open_session()
        self._sessions[session] = Signal()
        return session

    def session_signal(self, session: int) -> Signal:
        """Return the signal that the session has something for its connection."""
        return self._sessions[session]

    def feed_session(self, session: int, data: bytes) -> int:
        """Take bytes of a client and work through them; fewer than given means later.

        No bytes say that the client sends no more: the session closes once it has answered.
        """
        self._stirred.set()
        return self._core.feed_session(session, data)

    def take_session_out(self, session: int) -> bytes | None:
        """Return bytes for a client."""
        out = self._core.take_session_out(session)
        if out is not None:
            self._stirred.set()  # A session that had stopped for room goes on.
        return out

    def session_is_starting(self, session: int) -> bool:
        """Whether it still waits for a whole startup packet."""
        return self._core.session_is_starting(session)

    def session_is_closing(self, session: int) -> bool:
        """Whether the connection is to be closed once its output is sent."""
        return self._core.session_is_closing(session)

    def next_session_event(self, session: int) -> SessionEvent | None:
        """Return what the session wants decided."""
        event = self._core.next_session_event(session)
        return None if event is None else decode_session_event(*event)

    def plan_session(self, session: int, event: int, plan: bytes) -> None:
        """Answer a `PlanWanted`."""
        self._core.resume_session(session, event, cbor2.dumps([0, plan]))
        self._stirred.set()

    def finish_session(self, session: int, event: int, remarks: Sequence[Remark]) -> None:
        """Answer an event whose work is done."""
        notices = [[remark.sqlstate, remark.message, remark.hint] for remark in remarks]
        self._core.resume_session(session, event, cbor2.dumps([1, notices]))
        self._stirred.set()

    def fail_session(self, session: int, event: int, error: PhantomError) -> None:
        """Answer an event that could not be carried out."""
        fields = [error.sqlstate, error.message, error.hint]
        self._core.resume_session(session, event, cbor2.dumps([2, fields]))
        self._stirred.set()

    def cancel_session(self, session: int, sqlstate: str, message: str) -> None:
        """End the running statement with an error; 57P01 ends the session."""
        self._core.cancel_session(session, sqlstate, message)
        self._stirred.set()

    def end_idle_session(self, session: int) -> None:
        """End a session with 57P01 if no statement runs in it."""
        self._core.end_idle_session(session)
        self._stirred.set()

    def cancel_by_key(self, pid: int, secret: int) -> bool:
        """End the running statement of the session with that pid, if the secret is right."""
        self._stirred.set()
        return self._core.cancel_by_key(pid, secret)

    def close_session(self, session: int) -> None:
        """Forget a session and whatever it runs."""
        self._sessions.pop(session, None)
        self._core.close_session(session)
        self._stirred.set()

    def close(self, patience_s: float) -> None:
        """Step down, sync, stop the workers; a core that has failed is left to the process's end.

        Raises `DiskFailed` if the last sync fails, or has not ended after `patience_s` seconds:
        what was acknowledged holds all the same.
        """
        if self.has_failed:
            return
        try:
            self._core.close(patience_s)
        except _core.CoreError as error:
            raise _ended(error) from error
