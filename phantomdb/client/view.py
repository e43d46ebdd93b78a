"""What a cluster says of itself: `/cluster` of a node's admin door, read and judged.

A node knows all replicas of the groups that it leads and only its own of others, so the whole is
put together from the leaders' answers. An answer comes from another process, maybe of another
version: what is missing or wrong in it is an error of its own, never a crash.
"""

import http.client
import json
from dataclasses import dataclass, replace

from phantomdb.base.errors import PhantomError
from phantomdb.base.world import Address

#: An answer beyond this is not read, in bytes: a thousand groups take a tenth of it.
ANSWER_BYTES_MAX = 4 << 20


class Unreachable(PhantomError, sqlstate="08001"):
    """Nobody answers there."""


class NotANode(Unreachable):
    """Somebody answers there, but not as the admin door of a node."""


class NoSuchGroup(PhantomError):
    """The cluster tells of no group with that number."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node, as another one sees it; `lag` is in entries, `None` where it is not known."""

    name: str
    role: str
    state: str
    host: str
    port: int
    api_url: str
    timeline: int
    lag: int | None
    #: Free bytes of its disk, if it has told.
    disk_free: int | None = None
    #: Bytes that its statements hold, and may hold, if it has told.
    sql_held: int | None = None
    sql_limit: int | None = None

    def trouble(self) -> str:
        """Return what is wrong with it, as a sentence; empty if it runs."""
        if self.state == "running":
            return ""
        if self.state == "degraded" and self.disk_free is not None:
            return f"{self.name} is degraded: {self.disk_free >> 20} MiB of its disk are free"
        if self.state == "stalled":
            return f"{self.name} is stalled: its disk does not answer"
        return f"{self.name} is {self.state}"


@dataclass(frozen=True, slots=True)
class Replica:
    """A group's copy on a node: the index of the last entry applied, and how many are missing."""

    node: str
    applied: int
    lag: int


@dataclass(frozen=True, slots=True)
class Group:
    """A Raft group; `leader` is a node's name."""

    id: int
    leader: str | None
    term: int
    replicas: tuple[Replica, ...]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Members and groups."""

    members: tuple[Member, ...]
    groups: tuple[Group, ...]

    def problems(self) -> list[str]:
        """Return what keeps the cluster from being healthy, in sentences."""
        troubled = [trouble for member in self.members if (trouble := member.trouble())]
        return troubled + [f"group {g.id} has no leader" for g in self.groups if g.leader is None]

    def group(self, number: int) -> Group:
        """Return a group; raises `NoSuchGroup`."""
        for group in self.groups:
            if group.id == number:
                return group
        raise NoSuchGroup(f"the cluster tells of no group {number}")

    def lag(self, node: str) -> int | None:
        """Return how many entries a node misses; `None` if a group does not tell of it."""
        lags = [[r.lag for r in group.replicas if r.node == node] for group in self.groups]
        return max((lag[0] for lag in lags), default=0) if all(lags) else None


def look(address: Address, timeout_s: float) -> ClusterView:
    """Return the cluster as `address` and the leaders that it names tell of it.

    Raises `Unreachable` and `NotANode` for `address`; a silent leader's groups stay as they are.
    """
    view = ask(address, timeout_s)
    own = f"http://{address}/"
    urls = {member.name: member.api_url for member in view.members}
    leaders = {group.leader for group in view.groups if group.leader is not None}
    groups = {group.id: group for group in view.groups}
    for leader in sorted(leaders):
        url = urls.get(leader, "")
        if url and url != own:
            try:
                told = ask(_address(url), timeout_s)
            except (PhantomError, ValueError):
                continue  # The member's state says that it is silent.
            groups |= {g.id: g for g in told.groups if g.leader == leader and g.id in groups}
    return replace(view, groups=tuple(groups.values()))


def ask(address: Address, timeout_s: float) -> ClusterView:
    """Return what one node says; raises `Unreachable`, `NotANode`."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    try:
        connection.request("GET", "/cluster")
        response = connection.getresponse()
        status, body = response.status, response.read(ANSWER_BYTES_MAX)
    except OSError as error:
        raise Unreachable(
            f"nobody answers on {address}: {error.strerror or error}",
            hint="--address is a node's admin address, as its ready line tells (--listen-admin).",
        ) from error
    except http.client.HTTPException as error:
        raise _not_a_node(address, f"no HTTP ({type(error).__name__})") from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise _not_a_node(address, f"HTTP status {status} for /cluster")
    try:
        return _view(body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _not_a_node(address, f"{type(error).__name__} in /cluster: {error}") from error


def is_ready(address: Address, timeout_s: float) -> bool:
    """Whether a node's `/readiness` says so; a silent one is not ready."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    try:
        connection.request("GET", "/readiness")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _view(body: bytes) -> ClusterView:
    answer = json.loads(body)
    members = tuple(
        Member(
            name=str(m["name"]),
            role=str(m["role"]),
            state=str(m["state"]),
            host=str(m["host"]),
            port=int(m["port"]),
            api_url=str(m["api_url"]),
            timeline=int(m["timeline"]),
            lag=m["lag"] if isinstance(m["lag"], int) else None,  # Patroni's other value: unknown.
            disk_free=int(disk["free"]) if (disk := m.get("disk")) else None,
            sql_held=int(sql["held"]) if (sql := m.get("sql_memory")) else None,
            sql_limit=int(sql["limit"]) if sql else None,
        )
        for m in answer["members"]
    )
    groups = tuple(
        Group(
            id=int(g["id"]),
            leader=None if g["leader"] is None else str(g["leader"]),
            term=int(g["term"]),
            replicas=tuple(
                Replica(str(r["node"]), int(r["applied"]), int(r["lag"])) for r in g["replicas"]
            ),
        )
        for g in answer["groups"]
    )
    return ClusterView(members, groups)


def _address(url: str) -> Address:
    return Address.parse(url.removeprefix("http://").rstrip("/"))


def _not_a_node(address: Address, what: str) -> NotANode:
    return NotANode(
        f"{address} does not answer as a PhantomDB node: {what}",
        hint="--address is a node's admin address, not the one for SQL clients.",
    )
