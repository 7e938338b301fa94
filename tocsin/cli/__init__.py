"""The command line: `tocsin COMMAND`. A command imports what it needs when it runs: `--help` is quick."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from tocsin import __version__
from tocsin.cli.priority import give_way, is_reader
from tocsin.errors import TocsinError
from tocsin.tuning import relax_collection

# Command name to the module of this package that defines it under the module's name.
_COMMANDS = {
    "backup": "backup",
    "check": "check",
    "digest": "digest",
    "drift": "drift",
    "evaluate": "evaluate",
    "export": "export",
    "feedback": "feedback",
    "feeds": "feeds",
    "import": "import_",
    "label": "label",
    "learn": "learn",
    "migrate": "migrate",
    "monitor": "monitor",
    "preview": "preview",
    "prune": "prune",
    "publish": "publish",
    "reembed": "reembed",
    "report": "report",
    "rescore": "rescore",
    "restore": "restore",
    "search": "search",
    "serve": "serve",
    "share": "share",
    "slack": "slack",
    "sql": "sql",
    "status": "status",
    "topics": "topics",
    "trends": "trends",
    "why": "why",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"tocsin.cli.{_COMMANDS[cmd_name]}")
        command = getattr(module, _COMMANDS[cmd_name])
        assert isinstance(command, click.Command)  # noqa: S101  a programming mistake, not input
        return command


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tocsin")
def cli() -> None:
    """Watch the news for policy topics and ring when one moves."""


def main() -> None:
    """Run the command line; exit with 0, 1 (failed) or 2 (bad usage)."""
    relax_collection()
    if is_reader(sys.argv[1:]):
        give_way()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as wanted:
        sys.exit(wanted.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TocsinError as error:
        click.echo(f"tocsin: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("tocsin: interrupted; the next run completes the work", err=True)
        sys.exit(130)
