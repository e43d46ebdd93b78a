"""Settings of a node: every one with its unit, range and reason.

Order: flag > environment (`PHANTOMDB_LISTEN_PG`) > default; click does the first two.
"""

from dataclasses import dataclass, field

from phantomdb.base.world import Address

#: The smallest memory that holds a memtable, its frozen siblings and a cache worth the name.
MEMORY_BYTES_MIN = 16 << 20
#: What a node takes where nothing is said.
MEMORY_BYTES_DEFAULT = 256 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what clients and peers can make a node hold."""

    #: Sessions of one node; beyond it 53300. Each idle one takes up to 32 KiB.
    sessions_max: int = 20_000
    #: How long the sessions that are left may finish their statement at shutdown.
    grace_s: float = 5.0
    #: How long a connection may take for its first message.
    startup_s: float = 60.0
    #: How long a peer may take for its handshake.
    handshake_s: float = 5.0


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What `phantomdb start` was told."""

    directory: str
    name: str
    memory_bytes: int
    join: tuple[Address, ...]
    listen_pg: Address
    listen_peer: Address
    listen_admin: Address
    limits: Limits = field(default_factory=Limits)
