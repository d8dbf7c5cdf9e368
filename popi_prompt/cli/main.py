"""The `popi-prompt` command and how errors leave it."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any

import click

from popi_prompt.errors import PopiError, UsageError

INTERRUPTED = 130
_FAIL = ("strict", "surrogateescape")  # the latter, as in C.UTF-8, on half of a surrogate pair

_COMMANDS = {
    "check": "check",
    "optimize": "optimize",
    "evaluate": "evaluate",
    "transfer": "transfer",
    "bench": "bench",
    "infer": "infer",
    "respond": "respond",
    "show": "show",
    "export": "export",
    "import": "importing",
    "data": "data",
    "finetune": "finetune",
    "trace": "trace",
    "cache": "cache",
}


class LazyGroup(click.Group):
    """Loads a command's module when it is called, so that --help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order a newcomer meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; its module loads nothing heavy before the command runs."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"popi_prompt.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run; every error of ours is one line on stderr, 2 for usage and 1 for the rest."""
        try:
            return super().invoke(ctx)
        except PopiError as error:
            from popi_prompt.cli.render import plain

            click.echo(f"Error: {plain(str(error))}", err=True)
            ctx.exit(2 if isinstance(error, UsageError) else 1)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="popi-prompt", prog_name="popi-prompt")
def cli() -> None:
    """Personalize any LLM with short, readable summaries of what each person prefers.

    \b
    Example:
      popi-prompt optimize datasets/tastes.jsonl -o tastes.json
    """


def run() -> None:
    """The console script. After Ctrl-C it leaves at once: calls under way are not waited for.

    What stdout's encoding has no way to say is escaped, as on stderr; in JSON that is the text.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in _FAIL:
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cli()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise
