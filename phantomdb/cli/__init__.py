"""The `phantomdb` command: one file a verb."""

import importlib

import click

#: Verb to the module that has it: modules are imported when their verb is run.
_VERBS = {"start": "start", "status": "status", "demo": "demo", "cert": "cert"}


class _Verbs(click.Group):
    """Loads a verb's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs."""
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb; `None` for an unknown one."""
        del ctx
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"phantomdb.cli.{_VERBS[cmd_name]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command), f"{cmd_name} is a verb"
        return command


#: Click keeps the lines of a paragraph that begins with a backspace as they are.
_HELP = """PhantomDB: a distributed database that speaks PostgreSQL.

\b
phantomdb demo                      a whole cluster on real data, here
phantomdb start --data ./node1      one node
phantomdb status --address H:P      what a cluster is doing
phantomdb cert authority            certificates of nodes and clients
"""


@click.group(cls=_Verbs, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="phantomdb")
def main() -> None:
    """Run a verb of the command line."""
