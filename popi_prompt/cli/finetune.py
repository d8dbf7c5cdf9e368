"""popi-prompt finetune"""

from __future__ import annotations

import click

from popi_prompt.cli import finetune_export


@click.group(name="finetune", short_help="Tune the inference model through a provider's API.")
def command() -> None:
    """Write training files from what the reward knows. No weights are touched here.

    \b
    Example:
      popi-prompt finetune export programs/tastes.json datasets/tastes.jsonl -o train.jsonl
    """


command.add_command(finetune_export.command)
