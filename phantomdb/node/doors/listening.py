"""The addresses that a node listens on, for peers, for SQL clients and for operators.

All are opened before anything is touched, so that a port in use is told first. Those of peers and
clients are the reactor's to serve, which numbers them in their order, peers first.
"""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from phantomdb.base.errors import InUse, UsageError
from phantomdb.base.settings import NodeSettings, Slots
from phantomdb.base.world import Address, Door, Listener, World
from phantomdb.core.events import AcceptFailed, DoorFull

logger = logging.getLogger(__name__)


class PortInUse(InUse):
    """Another socket has an address that this node should listen on."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Listening sockets; the first of each kind is the one that others are told of."""

    peers: tuple[Door, ...]
    clients: tuple[Door, ...]
    admin: Listener

    @classmethod
    async def open(cls, settings: NodeSettings, world: World) -> Self:
        """Listen on all; raises `UsageError`, `PortInUse`."""
        network = world.network
        opened: list[Door] = []

        def bind(address: Address) -> Door:
            with _refusals(address):
                opened.append(network.bind(address))
            return opened[-1]

        try:
            peers = [bind(address) for address in settings.listen_peer]
            clients = [bind(address) for address in settings.listen_pg]
            if settings.listen_unix:
                path = _socket_path(settings.listen_unix, clients[0].address.port)
                with _refusals(path):
                    clients.append(network.bind_path(path))
                opened.append(clients[-1])
            with _refusals(settings.listen_admin):
                admin = await network.listen(settings.listen_admin)
        except BaseException:
            for door in opened:
                door.close()
            raise
        return cls(tuple(peers), tuple(clients), admin)

    async def close(self) -> None:
        """Close all that are still open; connections live on."""
        for door in (*self.peers, *self.clients):
            door.close()
        await self.admin.aclose()

    def tell(self, event: DoorFull | AcceptFailed) -> None:
        """Say what a door of the reactor's has trouble with."""
        name = [*self.peers, *self.clients][event.door].name
        if isinstance(event, DoorFull):
            logger.warning("%s has no room for more connections: they wait", name)
        else:
            logger.warning("%s: accept: %s", name, event.why)


def _socket_path(directory: str, port: int) -> Path:
    """Return where clients of PostgreSQL look for a socket in a directory."""
    return Path(directory) / f".s.PGSQL.{port}"


@contextmanager
def _refusals(where: Address | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "Choose another port." if isinstance(where, Address) else ""
            raise PortInUse(f"{where} is in use", hint=hint) from error
        raise UsageError(f"cannot listen on {where}: {error.strerror or error}") from error


def check_descriptors(descriptors: int) -> None:
    """Refuse a limit of descriptors with which a node would not get far."""
    if descriptors < Slots.DESCRIPTORS_MIN:
        raise UsageError(
            f"this process may open {descriptors} files and connections",
            hint=f"It takes {Slots.DESCRIPTORS_MIN} at least; see `ulimit -n`.",
        )
