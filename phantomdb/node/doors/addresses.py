"""What others are told of where this node's doors are, and which addresses it may listen on.

A door may listen on all addresses of the machine (`0.0.0.0`, `[::]`): others cannot dial that. They
are told what `--advertise-..` says; else the host of the entry of the `--join` list that is this
machine's; else the machine's name.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_address

from phantomdb.base.errors import UsageError
from phantomdb.base.settings import NodeSettings
from phantomdb.base.world import Address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # A name: who it belongs to is for others to say.


def is_any(host: str) -> bool:
    """Whether it stands for all addresses of a machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def check_reachable(settings: NodeSettings) -> None:
    """Refuse addresses that others reach where nobody could tell who they are."""
    if settings.is_insecure:
        return
    for address in (*settings.listen_pg, *settings.listen_peer):
        if not is_loopback(address.host) and settings.certs is None:
            raise UsageError(
                f"{address} is not a loopback address",
                hint="Others reach it: give --certs (see `phantomdb cert`), or --insecure.",
            )
    if not is_loopback(settings.listen_admin.host):
        raise UsageError(
            f"{settings.listen_admin} is not a loopback address",
            hint="HTTP is not encrypted yet: leave --listen-admin on loopback, or say --insecure.",
        )


def advertised(
    bound: Address,
    told: Address | None,
    join: Sequence[Address],
    is_own: Callable[[str], bool],
    host_name: Callable[[], str],
) -> Address:
    """Return what others are told of a door that listens on `bound`.

    `is_own` says whether a host is this machine; `host_name` gives its name.
    """
    if told is not None:
        return Address(told.host, told.port or bound.port)
    if not is_any(bound.host):
        return bound
    same_port = [address for address in join if address.port == bound.port]
    for address in (*same_port, *join):
        if is_own(address.host):
            return Address(address.host, bound.port)
    return Address(host_name(), bound.port)
