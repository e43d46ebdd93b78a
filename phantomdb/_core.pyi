"""The Rust extension. Reached through `phantomdb.core` only."""

from typing import final

#: The version of the wheel.
VERSION: str

#: What this release can read that the first could not, a bit each.
FEATURES: int

class CoreError(Exception):
    """An answer of the core: `args` are (SQLSTATE, message)."""

@final
class NodeCore:
    """Directories, and a node from its opening until a reactor has it."""

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

@final
class Security:
    """What is asked of connections, and what they are encrypted with."""

    def __new__(
        cls,
        *,
        files: tuple[bytes, bytes, bytes] | None,
        is_insecure: bool,
        distrusts_loopback: bool,
    ) -> Security:
        """`files` are node.crt, node.key and ca.crt. Raises `CoreError` if they will not do."""

    def own(self) -> tuple[str, str, int] | None:
        """Return the node and the cluster of the certificate, and when it ends (Unix time)."""

    def left_s(self) -> int | None:
        """Return how long the certificate is good yet, in seconds."""

@final
class Reactor:
    """The sockets of a node and the thread that serves them.

    Verbs are done in their order by that thread, and nothing waits for them; what they name may be
    gone by then, and then they are nothing. Ends of what has a token are events `ended`.
    """

    @staticmethod
    def start(
        peers: list[int],
        clients: list[int],
        slots: tuple[int, int],
        startup_s: float,
        handshake_s: float,
        security: Security,
        seed: int,
    ) -> Reactor:
        """Start the thread with listening sockets, by descriptor, which are its own from now on.

        `slots` are the connections at once, of peers and of clients. Clients are not let in yet.
        """

    def attach(self, core: NodeCore) -> None:
        """Give it an open node."""

    def secure(self, security: Security) -> None:
        """Say what is asked of connections from now on."""

    def wakefd(self) -> int:
        """Return a file descriptor that is readable while there are events, or at the end."""

    def take_events(self, limit: int = 256) -> list[tuple[object, ...]]:
        """Return the oldest events, each a tuple that begins with its kind.

        `core`, CBOR | `election_due`, groups | `control`, peer, message | `ended`, token, CBOR |
        `session`, session, event, kind, CBOR | `session_gone`, session | `first`, connection,
        address, certified, message | `answer`, token, connection, certified, message |
        `dial_failed`, token, why |
        `link_up`, peer, link | `link_down`, peer, link, why | `door_full`, door | `accept_failed`,
        door, why | `clients_gone` | `slow_turn`, ms, parts. Doors are numbered peers first.
        """

    def check(self) -> None:
        """Raise what has ended the thread, if something has: `CoreError`."""

    def status(self) -> bytes:
        """Return CBOR: a map for each group, with its replicas as far as they are known."""

    def stats(self) -> bytes:
        """Return CBOR: counters and sizes of engine, log, sessions, by name."""

    def counters(self) -> dict[str, int]:
        """Return the reactor's own counters, by name."""

    def hlc(self) -> int:
        """Return the hybrid clock."""

    def resume(self, session: int, event: int, outcome: bytes) -> None:
        """Answer an event. CBOR [0, plan bytes] | [1, notices] | [2, error fields]."""

    def cancel_by_key(self, pid: int, secret: int) -> None:
        """End the running statement of the session with that pid, if the secret is right."""

    def read_rows(self, token: int, group: int, spans: bytes) -> None:
        """Read rows at a group's leader. `spans` is CBOR [[relation, key columns | null]..]."""

    def write_rows(self, token: int, group: int, writes: bytes) -> None:
        """Write rows in one entry.

        `writes` is CBOR [[relation, key columns, value | null, version seen | null]..]; version 0
        is "no row", null is "whatever it is".
        """

    def barrier(self, token: int, group: int) -> None:
        """Ask for a read barrier."""

    def look(self, token: int) -> None:
        """End at once: what is shown then is not older than this call."""

    def campaign(self, groups: list[int]) -> None:
        """Begin elections."""

    def leave(self, token: int, group: int) -> None:
        """Hand leadership over once a member misses nothing.

        Ends with false if the group is not led here, or nobody could lead it.
        """

    def control(self, peer: int, message: bytes) -> None:
        """Send a message to a peer's control plane."""

    def dial(self, token: int, to: str, message: bytes) -> None:
        """Connect to a numeric address and say a message; the answer is an event."""

    def say_last(self, conn: int, message: bytes) -> None:
        """Say a message on a connection that is no link, and close it then."""

    def adopt(
        self,
        conn: int,
        peer: tuple[int, int, int],
        link: bytes,
        stream: int,
        message: bytes | None = None,
    ) -> None:
        """Make a connection a stream of a link, and say a message first.

        `peer` is its number, the count of its starts, and the features of its release.
        """

    def close(self, conn: int) -> None:
        """Close a connection that is no client's."""

    def finish_links(self) -> None:
        """Send peers what waits for them, and then the end."""

    def open_clients(self) -> None:
        """Serve clients from now on."""

    def drain(self, grace_s: float) -> None:
        """Close the doors of clients; sessions end once they are idle, and all after so long."""

    def stop(self, patience_s: float) -> None:
        """Close all sockets, step down, sync, stop the workers. Nothing may be called afterwards.

        Raises `CoreError` 58030 if the disk has not answered after `patience_s` seconds.
        """
