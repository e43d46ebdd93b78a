"""`phantomdb status`: what a cluster is doing, as one of its nodes tells."""

import json
import sys
from dataclasses import asdict

import click

from phantomdb.base.errors import PhantomError
from phantomdb.base.world import Address
from phantomdb.cli.output import TerminalOutput
from phantomdb.client import view
from phantomdb.client.view import ClusterView, Member
from phantomdb.node.world import RealWorld

#: Where `phantomdb start` listens by default.
_DEFAULT_ADDRESS = "127.0.0.1:5434"
UNHEALTHY, REFUSED = 1, 3


@click.command(
    context_settings={"auto_envvar_prefix": "PHANTOMDB"},
    epilog="Example: phantomdb status --address 127.0.0.1:5434",
)
@click.option(
    "--address",
    default=_DEFAULT_ADDRESS,
    show_default=True,
    metavar="HOST:PORT",
    help="The admin address of any node.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=60.0),
    default=5.0,
    show_default=True,
    help="Seconds that a node may take to answer.",
)
@click.option("--no-color", is_flag=True, help="Print without colours.")
def status(*, address: str, as_json: bool, timeout: float, no_color: bool) -> None:
    """Show members, groups and their replicas.

    Exit codes: 0 healthy; 1 a member is unreachable or degraded, or a group has no leader; 2 usage;
    3 nobody answers at the address, or not as a node.
    """
    try:
        where = Address.parse(address)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from error
    output = TerminalOutput(RealWorld.make().clock, no_color=no_color)
    try:
        cluster = view.look(where, timeout)
    except PhantomError as error:
        output.fail(error)
        sys.exit(REFUSED)
    problems = cluster.problems()
    if as_json:
        click.echo(json.dumps({"healthy": not problems, "problems": problems, **asdict(cluster)}))
    else:
        _show(cluster, problems, output)
    if problems:
        sys.exit(UNHEALTHY)


def _sql_memory(member: Member) -> str | None:
    if member.sql_held is None or member.sql_limit is None:
        return None
    return f"{-(-member.sql_held >> 20)} of {member.sql_limit >> 20} MiB"


def _show(cluster: ClusterView, problems: list[str], output: TerminalOutput) -> None:
    output.table(
        ("member", "role", "state", "sql", "admin", "term", "lag", "disk free", "sql memory"),
        [
            (
                member.name,
                member.role,
                member.state,
                str(Address(member.host, member.port)) if member.host else None,
                member.api_url or None,
                member.timeline,
                member.lag,
                None if member.disk_free is None else f"{member.disk_free >> 20} MiB",
                _sql_memory(member),
            )
            for member in cluster.members
        ],
    )
    output.say("")
    output.table(
        ("group", "leader", "term", "replica", "applied", "lag"),
        [
            # A group is named once; its other replicas stand below it.
            (*((group.id, group.leader, group.term) if at == 0 else ("", "", "")), *replica)
            for group in cluster.groups
            for at, replica in enumerate((r.node, r.applied, r.lag) for r in group.replicas)
        ],
    )
    output.say("")
    output.say("; ".join(problems) if problems else "healthy")
