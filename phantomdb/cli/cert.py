"""`phantomdb cert`: an authority, and certificates of nodes and clients."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from phantomdb.base.errors import PhantomError, UsageError
from phantomdb.base.settings import NodeSettings
from phantomdb.certificates import folders
from phantomdb.certificates.signing import Authority
from phantomdb.cli.output import TerminalOutput
from phantomdb.node.world import RealWorld

USAGE, REFUSED = 2, 3
#: Ten years: all others are signed anew when it ends.
_AUTHORITY_DAYS = 3_650
#: A century: beyond it a date is a slip.
_DAYS_MAX = 36_500

_DIRECTORY = click.Path(path_type=Path)
_CERTS = click.option(
    "--certs",
    type=_DIRECTORY,
    default=Path("certs"),
    show_default=True,
    help="The folder of the authority.",
)
_INTO = click.option(
    "--into",
    type=_DIRECTORY,
    default=None,
    help="The folder for its files.  [default: a folder of its name in that of the authority]",
)
_DAYS = click.option(
    "--days",
    type=click.IntRange(1, _DAYS_MAX),
    default=365,
    show_default=True,
    help="How long it is good.",
)


@click.group(epilog="Example: phantomdb cert authority && phantomdb cert node n1 --host n1.example")
def cert() -> None:
    """Make the certificates of a cluster.

    One authority is one cluster. Nodes get their certificates by --certs of `phantomdb start`;
    clients show theirs, which say their role. Nothing is overwritten.

    Exit codes: 0 done, 2 usage, 3 refused.
    """


@cert.command(epilog="Example: phantomdb cert authority --certs ./certs --cluster bank")
@_CERTS
@click.option(
    "--cluster",
    default="phantomdb",
    show_default=True,
    help="The cluster's name; nodes of another one are refused.",
)
@click.option(
    "--days",
    type=click.IntRange(1, _DAYS_MAX),
    default=_AUTHORITY_DAYS,
    show_default=True,
    help="How long it is good.",
)
def authority(*, certs: Path, cluster: str, days: int) -> None:
    """Make the authority of a cluster.

    Whoever has its key can make nodes and clients: keep ca.key off the nodes. All need ca.crt.
    """
    with _answering() as output:
        made = Authority.make(cluster, now=_now(), days=days)
        folders.write_authority(certs, made.files)
        output.say(f"{certs / 'ca.crt'}, {certs / 'ca.key'}: the authority of {made.cluster}")


@cert.command(epilog="Example: phantomdb cert node n1 --host n1.example --host 10.0.0.1")
@click.argument("name")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="A host's name or an address where clients reach the node; as often as needed.",
)
@_CERTS
@_INTO
@_DAYS
def node(*, name: str, hosts: tuple[str, ...], certs: Path, into: Path | None, days: int) -> None:
    """Make a node's certificate: NAME is what `phantomdb start --name` is given.

    The folder that is made has all that `phantomdb start --certs` needs.
    """
    with _answering() as output:
        if not NodeSettings.is_name(name):
            raise UsageError(f"{name!r} is no name of a node: letters, digits, . _ -")
        folder = into or folders.folder_of(certs, "nodes", name)
        own = Authority.read(folders.read_authority(certs))
        signed = own.sign_node(name, list(hosts), now=_now(), days=days)
        folders.write_node(folder, signed, own.files.certificate)
        output.say(f"phantomdb start --name {name} --certs {shlex.quote(str(folder))}")


@cert.command(epilog="Example: phantomdb cert client alice")
@click.argument("role")
@_CERTS
@_INTO
@_DAYS
def client(*, role: str, certs: Path, into: Path | None, days: int) -> None:
    """Make a client's certificate: whoever shows it is ROLE.

    The folder that is made has the files that sslcert, sslkey and sslrootcert of clients name.
    """
    with _answering() as output:
        folder = into or folders.folder_of(certs, "clients", role)
        own = Authority.read(folders.read_authority(certs))
        signed = own.sign_client(role, now=_now(), days=days)
        folders.write_client(folder, signed, own.files.certificate)
        files = [f"{key}={folder / file}" for key, file in _CLIENT_FILES.items()]
        words = ["sslmode=verify-full", *files, f"user={role}"]
        output.say(f"psql {shlex.quote(' '.join(words))}")


#: Parameters of libpq, and the files that they name.
_CLIENT_FILES = {"sslrootcert": "ca.crt", "sslcert": "client.crt", "sslkey": "client.key"}


@contextmanager
def _answering() -> Iterator[TerminalOutput]:
    """Give what is printed to; an error is printed and ends the program."""
    output = TerminalOutput(RealWorld.make().clock)
    try:
        yield output
    except PhantomError as error:
        output.fail(error)
        sys.exit(USAGE if isinstance(error, UsageError) else REFUSED)


def _now() -> datetime:
    return datetime.fromtimestamp(RealWorld.make().clock.wall_ns() / 1e9, UTC)
