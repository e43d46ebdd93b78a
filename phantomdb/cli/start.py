"""`phantomdb start`: a node in the foreground."""

import re
import sys

import click
import trio

from phantomdb.base.errors import PhantomError
from phantomdb.base.settings import (
    MEMORY_BYTES_DEFAULT,
    MEMORY_BYTES_MIN,
    SQL_MEMORY_BYTES_MIN,
    NodeSettings,
    sql_memory_bytes,
)
from phantomdb.base.world import Address
from phantomdb.node.exits import exit_code
from phantomdb.node.launch import Launcher
from phantomdb.node.logs import to_stderr
from phantomdb.node.world import RealWorld

_UNITS = {
    "": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "kb": 1000,
    "mb": 10**6,
    "gb": 10**9,
}

#: As long as the path of a file may be.
_TEXT_MAX = 4_096


class _Bytes(click.ParamType[int]):
    """A size: bytes, or a number with KiB, MiB, GiB, kB, MB or GB."""

    name = "bytes"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read it."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+)\s*([a-zA-Z]*)", str(value).strip())
        unit = _UNITS.get(found[2].lower()) if found else None
        if found is None or unit is None:
            self.fail(f"{value!r} is not a size, as 256MiB is", param, ctx)
        size = int(found[1]) * unit
        if size < self._least:
            self.fail(f"{value} is less than {self._least >> 20} MiB", param, ctx)
        return size


class _Text(click.ParamType[str]):
    """Text as it can be sent and stored: the system takes any bytes for an argument."""

    name = "text"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Read it."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!r} is not UTF-8", param, ctx)
        if len(text) > _TEXT_MAX:
            self.fail(f"{text[:20]}... has more than {_TEXT_MAX} characters", param, ctx)
        return text


class _Name(click.ParamType[str]):
    """A node's name."""

    name = "name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Read it."""
        text = str(value)
        if not NodeSettings.is_name(text):
            what = f"1 to {NodeSettings.NAME_MAX} letters, digits, dots, underscores and hyphens"
            self.fail(f"{text[: NodeSettings.NAME_MAX]!r} is no name: it is {what}", param, ctx)
        return text


class _Address(click.ParamType[Address]):
    """HOST:PORT."""

    name = "host:port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """Read it."""
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Addresses(click.ParamType[tuple[Address, ...]]):
    """HOST:PORT,HOST:PORT,.."""

    name = "host:port,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Address, ...]:
        """Read it."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(Address.parse(part.strip()) for part in str(value).split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(
    context_settings={"auto_envvar_prefix": "PHANTOMDB"},
    epilog="Example: phantomdb start --data ./n1 --listen-pg 127.0.0.1:5432",
)
@click.option(
    "--data",
    type=_Text(),
    default="phantomdb-data",
    show_default=True,
    help="The data directory.",
)
@click.option(
    "--name",
    type=_Name(),
    default=None,
    help="The node's name, for people: letters, digits, . _ -  [default: its directory's]",
)
@click.option(
    "--memory",
    type=_Bytes(MEMORY_BYTES_MIN),
    default=MEMORY_BYTES_DEFAULT,
    show_default="256MiB",
    help="Memory of the storage engine; at least 16MiB.",
)
@click.option(
    "--sql-memory",
    type=_Bytes(SQL_MEMORY_BYTES_MIN),
    default=None,
    help=(
        "Memory of all that statements hold; at least 16MiB.  "
        "[default: a quarter of the machine's, or its cgroup's]"
    ),
)
@click.option(
    "--join",
    type=_Addresses(),
    default=(),
    help="Peer addresses of all nodes of a new cluster, this one among them; the same on each.",
)
@click.option(
    "--listen-pg",
    type=_Addresses(),
    default="127.0.0.1:5432",
    show_default=True,
    help="Where PostgreSQL clients connect; others are told of the first.",
)
@click.option(
    "--listen-unix",
    type=_Text(),
    default=None,
    help="A directory where clients of this machine's user find a socket, .s.PGSQL.<port>.",
)
@click.option(
    "--listen-peer",
    type=_Addresses(),
    default="127.0.0.1:5433",
    show_default=True,
    help="Where other nodes connect; they are told of the first.",
)
@click.option(
    "--listen-admin",
    type=_Address(),
    default="127.0.0.1:5434",
    show_default=True,
    help="Where /liveness, /readiness, /cluster and /metrics are.",
)
@click.option(
    "--advertise-pg",
    type=_Address(),
    default=None,
    help="What others are told of --listen-pg.  [default: its first address, or the host's name]",
)
@click.option(
    "--advertise-peer",
    type=_Address(),
    default=None,
    help="What nodes are told of --listen-peer.  [default: its first address, or the --join entry]",
)
@click.option(
    "--advertise-admin",
    type=_Address(),
    default=None,
    help="What others are told of --listen-admin.  [default: that address, or the host's name]",
)
@click.option(
    "--certs",
    type=_Text(),
    default=None,
    help="A folder with node.crt, node.key and ca.crt; `phantomdb cert` makes them.",
)
@click.option(
    "--insecure",
    "is_insecure",
    is_flag=True,
    help="Trust whoever reaches this node, from anywhere, encrypted or not.",
)
@click.option(
    "--distrust-loopback",
    "distrusts_loopback",
    is_flag=True,
    help="Ask clients of this machine for a certificate too.",
)
def start(
    *,
    data: str,
    name: str | None,
    memory: int,
    sql_memory: int | None,
    join: tuple[Address, ...],
    listen_pg: tuple[Address, ...],
    listen_unix: str | None,
    listen_peer: tuple[Address, ...],
    listen_admin: Address,
    advertise_pg: Address | None,
    advertise_peer: Address | None,
    advertise_admin: Address | None,
    certs: str | None,
    is_insecure: bool,
    distrusts_loopback: bool,
) -> None:
    """Run a node in the foreground, until SIGTERM or Ctrl-C.

    Without --join it is a cluster of one. A directory that was formed before needs no --join. One
    line of JSON on stdout says that it serves, and where; logs are JSON lines on stderr.

    Exit codes: 0 stopped, 2 usage, 3 refused, 5 directory in use, 6 damaged, 7 the disk is full or
    has failed, 8 port in use.
    """
    RealWorld.ignore_stray_signals()
    RealWorld.hold_standard_files()
    world = RealWorld.make()
    shown = name or NodeSettings.name_of(data)
    to_stderr(shown)
    settings = NodeSettings(
        directory=data,
        name=shown,
        memory_bytes=memory,
        sql_memory_bytes=sql_memory or sql_memory_bytes(RealWorld.memory_bytes()),
        join=join,
        listen_pg=listen_pg,
        listen_peer=listen_peer,
        listen_admin=listen_admin,
        listen_unix=listen_unix,
        advertise_pg=advertise_pg,
        advertise_peer=advertise_peer,
        advertise_admin=advertise_admin,
        certs=certs,
        is_insecure=is_insecure,
        distrusts_loopback=distrusts_loopback,
    )
    cores, descriptors = RealWorld.cores(), RealWorld.descriptors()
    launcher = Launcher(settings, world, cores=cores, descriptors=descriptors)
    try:
        trio.run(launcher.run, RealWorld.say)
    except* PhantomError as group:
        error = _first(group)
        hint = f"\n{error.hint}" if error.hint else ""
        click.echo(f"phantomdb: {error.message}{hint}", err=True)
        sys.exit(exit_code(error))


def _first(group: BaseExceptionGroup[PhantomError]) -> PhantomError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
