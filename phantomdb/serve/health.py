"""What a node tells of itself and of its cluster, whoever asks by whatever door."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether statements should be sent here, and what keeps the node from serving everything."""

    ready: bool
    state: str
    #: Empty if everything is served, or if that is not known.
    why: str = ""


@dataclass(frozen=True, slots=True)
class DiskSizes:
    """Sizes of a node's disk, in bytes."""

    free: int
    total: int
    reserve: int


@dataclass(frozen=True, slots=True)
class SqlMemory:
    """What statements hold and may hold of a node's memory, in bytes."""

    held: int
    limit: int


@dataclass(frozen=True, slots=True)
class MemberHealth:
    """A node of the cluster; names and their order are those of `/cluster`."""

    name: str
    role: str
    state: str
    #: Where its SQL clients connect; empty and 0 if it has not told.
    host: str
    port: int
    api_url: str
    #: The term of the system group.
    timeline: int
    #: Entries that it misses of the group where it misses most; `None` if nobody has told.
    lag: int | None
    disk: DiskSizes | None
    sql_memory: SqlMemory | None


@dataclass(frozen=True, slots=True)
class ReplicaHealth:
    """A group's replica on a node: the last entry applied, and how many are missing."""

    node: str
    applied: int
    lag: int


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """A group, and its replicas as far as they are known here; `leader` is a node's name."""

    id: int
    leader: str | None
    term: int
    replicas: tuple[ReplicaHealth, ...]


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """Members, groups, the cluster's id in hexadecimal, and the name of the node that says so."""

    members: tuple[MemberHealth, ...]
    groups: tuple[GroupHealth, ...]
    cluster: str
    answered_by: str


class Health(Protocol):
    """What doors ask."""

    def readiness(self) -> Readiness:
        """Whether sessions are served and every group has a leader."""
        ...

    def cluster(self) -> ClusterHealth:
        """Members and groups."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """Text for Prometheus and its content type."""
        ...
