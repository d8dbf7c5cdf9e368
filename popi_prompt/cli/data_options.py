"""What the commands on files of users share."""

from __future__ import annotations

from pathlib import Path

import click

file_argument = click.argument("data", type=click.Path(path_type=Path))
output_option = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="JSONL file."
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all draws."
)
