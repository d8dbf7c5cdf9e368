"""popi-prompt show"""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="show", short_help="Print what is in a program.")
@click.argument("program", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the program's JSON.")
def command(program: Path, as_json: bool) -> None:
    """Print PROGRAM: instruction, demonstrations, conditioning, models, scores, what it holds.

    \b
    Example:
      popi-prompt show programs/tastes.json
    """
    from popi_prompt.program import load

    loaded = load(program)
    if as_json:
        from popi_prompt.cli.render import print_json

        print_json(loaded.as_record())
        return
    candidate, origin = loaded.candidate, loaded.origin
    before, after = origin.scores_before, origin.scores_after
    lines = [
        f"instruction    {candidate.instruction}",
        f"signals shown  {candidate.view}",
        f"conditioning   {candidate.conditioning.place}: {candidate.conditioning.wording}",
        *(f"{role:<14} {name}" for role, name in loaded.models.items()),
        f"made from      {origin.users} users, {origin.dataset[:19]}..., seed {origin.seed}, "
        f"{origin.trials} trials, scorer {origin.scorer}, reward {origin.reward}, "
        f"optimizer {origin.optimizer}",
        f"holds          {loaded.holds}",
    ]
    for name, scores in (("before", before), ("after", after)):
        if scores is not None:
            lines.append(
                f"{name:<14} D {scores.margin:+.2f}, reward accuracy {scores.reward_accuracy:.1%}, "
                f"{scores.tokens_median:.0f} tokens (median), {scores.users} held-out users"
            )
    for number, demo in enumerate(candidate.demonstrations, start=1):
        shown = "\n    ".join(demo.signals.splitlines())
        lines.append(f"\ndemonstration {number}\n    {shown}\n  -> {demo.summary}")
    click.echo("\n".join(lines))
