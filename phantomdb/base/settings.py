"""Settings of a node: every one with its unit, range and reason.

Order: flag > environment (`PHANTOMDB_LISTEN_PG`) > default; click does the first two.
"""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Self

from phantomdb.base.world import Address

#: The smallest memory that holds a memtable, its frozen siblings and a cache worth the name.
MEMORY_BYTES_MIN = 16 << 20
#: What a node takes where nothing is said.
MEMORY_BYTES_DEFAULT = 256 << 20
#: The smallest memory of statements in which more than one of them does anything.
SQL_MEMORY_BYTES_MIN = 16 << 20
#: The part of the machine that statements may hold where nothing is said: one in so many. As much
#: again may be the engine's and the system's cache of files.
_SQL_MEMORY_PART = 4


def sql_memory_bytes(machine_bytes: int) -> int:
    """Return what all statements may hold together on a machine of so much memory."""
    return max(SQL_MEMORY_BYTES_MIN, machine_bytes // _SQL_MEMORY_PART)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what clients and peers can make a node hold."""

    #: Sessions of one node; beyond it 53300. Each idle one takes up to 32 KiB.
    sessions_max: int = 20_000
    #: How long the sessions that are left may finish their statement at shutdown.
    grace_s: float = 5.0
    #: How long a connection may take for its first message.
    startup_s: float = 60.0
    #: How long a peer may take for its handshake, and an HTTP client for its first request.
    handshake_s: float = 5.0
    #: How long an HTTP client may take for a later request: a scraper comes back within a minute.
    idle_s: float = 75.0


@dataclass(frozen=True, slots=True)
class Slots:
    """Connections that each door holds at once; who comes beyond it waits outside."""

    pg: int
    peer: int
    admin: int

    #: The fewest descriptors that a node runs with: a cluster of three needs a few at each door.
    DESCRIPTORS_MIN: ClassVar[int] = 64
    #: What the engine's files take at most: 256 GiB of tables of 64 MiB.
    _FILES_MAX: ClassVar[int] = 4_096
    #: What no door but that of the clients has a use for.
    _SMALL_DOOR_MAX: ClassVar[int] = 1_024
    #: Clients that can be told at once that there is no room.
    _TURNED_AWAY_MAX: ClassVar[int] = 256

    @classmethod
    def of(cls, descriptors: int) -> Self:
        """Share out the descriptors of a process: some are kept for the engine's files.

        Else whoever opens enough connections ends the node, which cannot make its next file.
        """
        connections = descriptors - min(descriptors // 2, cls._FILES_MAX)
        small = min(connections // 4, cls._SMALL_DOOR_MAX)
        return cls(pg=connections - 2 * small, peer=small, admin=small)

    def sessions(self, limits: Limits) -> int:
        """How many of the clients are served; the others have room to be told that it is full."""
        return min(limits.sessions_max, self.pg - min(self.pg // 8, self._TURNED_AWAY_MAX))


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What `phantomdb start` was told."""

    directory: str
    name: str
    memory_bytes: int
    sql_memory_bytes: int
    join: tuple[Address, ...]
    #: At least one each; the first is the one that others are told of.
    listen_pg: tuple[Address, ...]
    listen_peer: tuple[Address, ...]
    listen_admin: Address
    #: A directory for a socket of the file system, or none.
    listen_unix: str | None = None
    #: What others are told in place of the first address that a door listens on, or none.
    advertise_pg: Address | None = None
    advertise_peer: Address | None = None
    advertise_admin: Address | None = None
    #: The directory of node.crt, node.key and ca.crt, or none.
    certs: str | None = None
    #: Whoever reaches this node is trusted.
    is_insecure: bool = False
    #: Clients of this machine are asked for as much as others.
    distrusts_loopback: bool = False
    limits: Limits = field(default_factory=Limits)

    #: As long as a label of a host's name may be.
    NAME_MAX: ClassVar[int] = 63

    @classmethod
    def is_name(cls, text: str) -> bool:
        """Whether a node can be called so: what shows in logs and tables, and nothing else."""
        return re.fullmatch(rf"[A-Za-z0-9._-]{{1,{cls.NAME_MAX}}}", text) is not None

    @classmethod
    def name_of(cls, directory: str) -> str:
        """Return the name of a node that was given none: its directory's, as far as it is one."""
        last = directory.rstrip("/").rsplit("/", 1)[-1]
        return re.sub(r"[^A-Za-z0-9._-]", "-", last)[: cls.NAME_MAX] or "node"
