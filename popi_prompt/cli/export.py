"""popi-prompt export"""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="export", short_help="Write a program's state for plain DSPy.")
@click.argument("program", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["dspy"]),
    default="dspy",
    show_default=True,
    help="Whose state.",
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="JSON file.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(program: Path, format_: str, output: Path, as_json: bool) -> None:
    """Write the DSPy state of PROGRAM: `PreferenceInference().load(OUTPUT)` reads it.

    \b
    Example:
      popi-prompt export programs/tastes.json --format dspy -o tastes.dspy.json
    """
    import json

    from popi_prompt.files import check_writable, write_text
    from popi_prompt.program import load
    from popi_prompt.shipped import located

    check_writable(output, reading=[located(program)])
    loaded = load(program)

    from popi_prompt.inference import dspy_state

    write_text(output, json.dumps(dspy_state(loaded.candidate), indent=2, ensure_ascii=False))
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json({"output": str(output), "format": format_})
    else:
        click.echo(f"Wrote {output}. It holds {loaded.holds}.")
