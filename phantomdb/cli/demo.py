"""`phantomdb demo`: a whole cluster here, on real data, with real trouble."""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from phantomdb.base.errors import PhantomError, Refused
from phantomdb.cli.output import TerminalOutput
from phantomdb.node.world import RealWorld

FAILED, REFUSED, INTERRUPTED = 1, 3, 130


@click.command(
    context_settings={"auto_envvar_prefix": "PHANTOMDB"},
    epilog="Example: phantomdb demo --nodes 3 --load flights --trouble kill-leader",
)
@click.option(
    "--nodes",
    type=click.Choice(["1", "3"]),
    default="3",
    show_default=True,
    help="Processes of the cluster.",
)
@click.option(
    "--load",
    type=click.Choice(["flights"]),
    default="flights",
    show_default=True,
    help="The data: departures from New York in 2013, 367,687 rows in five tables.",
)
@click.option(
    "--trouble",
    type=click.Choice(["none", "kill-leader"]),
    default="none",
    show_default=True,
    help="What breaks while somebody writes.",
)
@click.option(
    "--keep", is_flag=True, help="Leave the cluster running until Ctrl-C, and its files after."
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the nodes keep their data; it stays.  [default: a temporary one]",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="Load at most N rows of each table.  [default: all]",
)
@click.option("--no-color", is_flag=True, help="Print without colours.")
def demo(
    *,
    nodes: str,
    load: str,
    trouble: str,
    keep: bool,
    directory: Path | None,
    rows: int | None,
    no_color: bool,
) -> None:
    """Start a cluster here, load real data, ask, break it, and check that nothing is lost.

    Answers are compared with SQLite's on the same rows. With kill-leader the leader is ended by
    SIGKILL in the middle of writes, and every acknowledged row is looked for on all nodes.

    Exit codes: 0 everything held; 1 a check failed, which is named; 2 usage; 3 refused; 130
    interrupted.
    """
    assert load == "flights", "click knows the choices"
    kill_leader = trouble == "kill-leader"
    if kill_leader and nodes == "1":
        raise click.UsageError("--trouble kill-leader needs --nodes 3: one has nobody to take over")
    # SIGTERM ends it as Ctrl-C does: with all of its processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    world = RealWorld.make()
    output = TerminalOutput(world.clock, no_color=no_color)
    try:
        if find_spec("psycopg") is None:
            raise Refused(
                "the demo needs psycopg, PostgreSQL's driver",
                hint="pip install 'phantomdb[demo]'",
            )
        # Only now, so that `phantomdb --help` works where psycopg is missing.
        from phantomdb.demo.run import Demo, Plan  # noqa: PLC0415

        plan = Plan(int(nodes), kill_leader, keep, directory, rows)
        failed = Demo(plan, output, world.clock, world.random).run()
    except PhantomError as error:
        output.fail(error)
        sys.exit(REFUSED if isinstance(error, Refused) else FAILED)
    except KeyboardInterrupt:
        output.say("Interrupted; all processes are ended.")
        sys.exit(INTERRUPTED)
    if failed:
        sys.exit(FAILED)
