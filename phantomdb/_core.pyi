"""The Rust extension. Reached through `phantomdb.core` only."""

from typing import final

#: The version of the wheel.
VERSION: str

class CoreError(Exception):
    """An answer of the core: `args` are (SQLSTATE, message)."""

@final
class Effects:
    """What one `poll` has for the loop."""

    #: (peer, stream) with bytes to send.
    out: list[tuple[int, int]]
    #: Sessions that have output or an event, or take input again.
    sessions: list[int]
    #: (peer, message) of the control plane.
    control: list[tuple[int, bytes]]
    #: (token, CBOR outcome) of `read_rows`, `write_rows` and `barrier`.
    rows: list[tuple[int, bytes]]
    #: CBOR arrays: what happened to groups, rarely.
    events: list[bytes]
    #: Sleep at most so long, in microseconds.
    sleep_us: int

@final
class NodeCore:
    """One node: storage, replication, requests, sessions. Called by one thread only."""

    @staticmethod
    def claim(directory: str, fresh: bytes) -> bytes:
        """Return the name of a directory before it is formed; durable."""

    @staticmethod
    def form(directory: str, formation: bytes, charter: bytes) -> None:
        """Make a directory a node of a cluster, once in its life; durable on return.

        `formation` is CBOR [cluster, node, [[node, name, address]..]]; `charter` is kept beside it.
        """

    @staticmethod
    def open(directory: str, settings: bytes, seed: int) -> NodeCore:
        """Open a formed directory: check its identity, replay the log, start the workers.

        `settings` is CBOR [memory bytes, cores, sessions, SQL memory bytes].
        """

    def identity(self) -> bytes:
        """Return CBOR [cluster, node, incarnation, [[node, name, address]..], charter]."""

    def placement(self) -> bytes:
        """Return where rows are, as CBOR: [[colocation set, [[group, [node..]]..]]..]."""

    def wakefd(self) -> int:
        """Return a file descriptor that is readable when a worker has left something for `poll`."""

    def heard(self) -> None:
        """Make the descriptor unreadable; call it when it has woken you, and `poll` afterwards."""

    def poll(self) -> Effects:
        """Drive everything that is ready; never waits."""

    def connected(self, peer: int, incarnation: int) -> None:
        """Say that both streams to a peer begin anew."""

    def disconnected(self, peer: int) -> None:
        """Say that a peer is gone."""

    def feed(self, peer: int, stream: int, data: bytes) -> int:
        """Take bytes of a peer; fewer than given means later.

        Raises `CoreError` for a bad frame.
        """

    def take_out(self, peer: int, stream: int, limit: int = 1 << 20) -> bytes | None:
        """Return bytes for a peer."""

    def send_control(self, peer: int, message: bytes) -> None:
        """Send a message of the control plane."""

    def hlc(self) -> int:
        """Return the hybrid clock."""

    def campaign(self, groups: list[int]) -> list[str]:
        """Begin elections; returns a word for each group: `begun`, or why not."""

    def step_down(self, group: int) -> bool:
        """Give up leadership of a group; false if this node has it not."""

    def leave(self, group: int) -> bool:
        """Hand leadership over once a member misses nothing.

        False if the group is not led here, or nobody could lead it.
        """

    def status(self) -> bytes:
        """Return CBOR: a map for each group, with its replicas as far as they are known."""

    def stats(self) -> bytes:
        """Return CBOR: counters and sizes of engine, log, sessions, by name."""

    def barrier(self, group: int, token: int) -> None:
        """Ask for a read barrier; answered in `Effects.rows`."""

    def read_rows(self, token: int, group: int, spans: bytes) -> None:
        """Read rows at a group's leader. `spans` is CBOR [[relation, key columns | null]..]."""

    def write_rows(self, token: int, group: int, writes: bytes) -> None:
        """Write rows in one entry.

        `writes` is CBOR [[relation, key columns, value | null, version seen | null]..]; version 0
        is "no row", null is "whatever it is".
        """

    def open_session(self) -> int:
        """Return a new session of PostgreSQL's protocol.

        Raises `CoreError` (53300) beyond the limit.
        """

    def feed_session(self, session: int, data: bytes) -> int:
        """Take bytes of a client and work through them; fewer than given means later.

        No bytes say that the client sends no more.
        """

    def take_session_out(self, session: int, limit: int = 1 << 18) -> bytes | None:
        """Return bytes for a client."""

    def session_is_starting(self, session: int) -> bool:
        """Whether it still waits for a whole startup packet."""

    def session_is_closing(self, session: int) -> bool:
        """Whether the connection is to be closed once its output is sent."""

    def next_session_event(self, session: int) -> tuple[int, str, bytes] | None:
        """Return (event, kind, CBOR): `plan`, `create_table`, `drop_table` or `cancel`."""

    def resume_session(self, session: int, event: int, outcome: bytes) -> None:
        """Answer an event. CBOR [0, plan bytes] | [1, notices] | [2, error fields]."""

    def cancel_session(self, session: int, sqlstate: str, message: str) -> None:
        """End the running statement with an error; 57P01 ends the session."""

    def end_idle_session(self, session: int) -> None:
        """End a session with 57P01 if no statement runs in it."""

    def cancel_by_key(self, pid: int, secret: int) -> bool:
        """End the running statement of the session with that pid, if the secret is right."""

    def close_session(self, session: int) -> None:
        """Forget a session and whatever it runs."""

    def close(self, patience_s: float) -> None:
        """Step down, sync, stop the workers. Nothing may be called afterwards.

        Raises `CoreError` 58030 if the disk has not answered after `patience_s` seconds.
        """
