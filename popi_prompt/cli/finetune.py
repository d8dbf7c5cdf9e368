"""popi-prompt finetune"""

from __future__ import annotations

import click

from popi_prompt.cli import (
    finetune_adopt,
    finetune_export,
    finetune_files,
    finetune_jobs,
    finetune_submit,
)


@click.group(name="finetune", short_help="Tune the inference model through a provider's API.")
def command() -> None:
    """Tune the inference model at a provider. No weights are touched here.

    \b
    Example:
      popi-prompt finetune export programs/tastes.json datasets/tastes.jsonl -o train.jsonl
      popi-prompt finetune submit train.jsonl --model gpt-4o-mini-2024-07-18
      popi-prompt finetune wait 3f9a
      popi-prompt finetune adopt 3f9a program.json users.jsonl -o tuned.json
    """


command.add_command(finetune_export.command)
command.add_command(finetune_submit.command)
for each in (*finetune_jobs.COMMANDS, finetune_adopt.command, *finetune_files.COMMANDS):
    command.add_command(each)
