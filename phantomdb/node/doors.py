"""The three addresses that a node listens on, for peers, for SQL clients and for operators.

All are opened before anything is touched, so that a port in use is told first; and checked before
that: an address that others could reach is refused.
"""

import errno
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from phantomdb.base.errors import InUse, UsageError
from phantomdb.base.settings import NodeSettings, Slots
from phantomdb.base.world import Address, Listener, World


class PortInUse(InUse):
    """Another socket has an address that this node should listen on."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Listening sockets."""

    peer: Listener
    pg: Listener
    admin: Listener

    @classmethod
    async def open(cls, settings: NodeSettings, world: World) -> Self:
        """Listen on all; raises `UsageError`, `PortInUse`."""
        peer = await _listen(settings.listen_peer, world)
        pg = await _listen(settings.listen_pg, world)
        admin = await _listen(settings.listen_admin, world)
        return cls(peer, pg, admin)

    async def close(self) -> None:
        """Close all that are still open; connections live on."""
        for door in (self.peer, self.pg, self.admin):
            await door.aclose()


async def _listen(address: Address, world: World) -> Listener:
    try:
        return await world.network.listen(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"{address} is in use", hint="Choose another port.") from error
        raise UsageError(f"cannot listen on {address}: {error.strerror}") from error


def check_loopback(address: Address) -> None:
    """Refuse an address that others could reach: there is no TLS yet."""
    if not _is_loopback(address.host):
        raise UsageError(
            f"{address} is not a loopback address",
            hint="Nodes speak without encryption so far; use 127.0.0.1.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # A name: who it belongs to is for others to say.


def check_descriptors(descriptors: int) -> None:
    """Refuse a limit of descriptors with which a node would not get far."""
    if descriptors < Slots.DESCRIPTORS_MIN:
        raise UsageError(
            f"this process may open {descriptors} files and connections",
            hint=f"It takes {Slots.DESCRIPTORS_MIN} at least; see `ulimit -n`.",
        )
