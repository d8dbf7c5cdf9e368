"""popi-prompt optimize"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import (
    EMBEDDING_DEFAULT,
    SCORERS,
    AccessOptions,
    access_options,
    bill_record,
    print_bill,
)

if TYPE_CHECKING:
    from popi_prompt.rewards import Reward
    from popi_prompt.schema import User
    from popi_prompt.workflow import Settings

DEFAULT_MODEL = "local/smollm2-135m"


@click.command(name="optimize", short_help="Compile a program from a file of users.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Program.")
@click.option("--generator", help=f"Frozen; answers.  [default: {DEFAULT_MODEL}]")
@click.option("--inference-model", help=f"Summarizes.  [default: {DEFAULT_MODEL}]")
@click.option("--proposer", help="Writes instructions.  [default: the inference model]")
@click.option("--judge", help="Compares answers.  [default: the generator]")
@click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]")
@click.option("--scorer", help=f"{SCORERS}  [default: by route]")
@click.option(
    "--reward", default="popi", show_default=True, type=click.Choice(["popi", "accuracy", "margin"])
)
@click.option("--trials", default=8, show_default=True, type=click.IntRange(1), help="Searched.")
@click.option("--max-users", type=click.IntRange(3), help="Use at most this many users.")
@click.option("--held-out", type=click.IntRange(1), help="Report on at most this many users.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all draws.")
@click.option("--beta", type=float, help="Of the reward popi.  [default: 0.01]")
@click.option("--token-budget", default=40, show_default=True, type=click.IntRange(0))
@click.option("--token-penalty", default=0.0, show_default=True, type=float, help="Per token over.")
@access_options
@click.option("--untuned", is_flag=True, help="Write the untuned program; optimize nothing.")
@click.option("--dry-run", is_flag=True, help="Print calls, tokens, USD, time; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    data: Path,
    output: Path,
    generator: str | None,
    inference_model: str | None,
    proposer: str | None,
    judge: str | None,
    embedding_model: str | None,
    scorer: str | None,
    reward: str,
    trials: int,
    max_users: int | None,
    held_out: int | None,
    seed: int,
    beta: float | None,
    token_budget: int,
    token_penalty: float,
    untuned: bool,
    dry_run: bool,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Compile a program from DATA, a JSONL file of users.

    Users are split into three parts without common users or prompts: to learn from, to choose by,
    and held out for the report. Ctrl-C keeps the best program so far beside OUTPUT; at a cap the
    best one so far is OUTPUT. Run again, answers that were paid for come from the cache.

    \b
    Examples:
      popi-prompt optimize datasets/tastes.jsonl -o tastes.json
      popi-prompt optimize users.jsonl -o p.json --generator openai/gpt-4o-mini --dry-run
    """
    from popi_prompt.dataset import load_users
    from popi_prompt.errors import UsageError
    from popi_prompt.files import check_writable

    if not dry_run:
        check_writable(output)
    elif untuned:
        raise UsageError(
            "--untuned calls no model, so there is nothing to estimate; drop --dry-run"
        )
    maximised = _reward(reward, beta, token_budget, token_penalty)
    access = options.access()
    users = load_users(data, need_pairs=True)

    from popi_prompt import workflow

    settings = workflow.Settings(
        generator=access.name("generator", generator, DEFAULT_MODEL),
        inference_model=access.name("inference", inference_model, DEFAULT_MODEL),
        proposer=access.name("proposer", proposer, "") or None,
        judge=access.name("judge", judge, "") or None,
        embedding_model=embedding_model,
        scorer=scorer,
        reward=maximised,
        trials=trials,
        max_users=max_users,
        held_out=held_out,
        seed=seed,
        access=access,
    )
    if dry_run:
        _estimate(users, settings, as_json)
        return
    if untuned:
        _write_untuned(workflow.untuned(settings, users), output, as_json)
        return
    from popi_prompt.cli.progress import Display

    with Display() as display:
        try:
            done = workflow.optimize(users, settings, observer=display)
        except KeyboardInterrupt:
            _keep_best(display, output)
            raise
    done.program.save(output)
    _print(done, data, output, as_json)


def _reward(name: str, beta: float | None, budget: int, penalty: float) -> Reward:
    """The reward that the options name. Raises `UsageError` for numbers that cannot work."""
    import math

    from popi_prompt.errors import UsageError
    from popi_prompt.rewards import AccuracyReward, MarginReward, PopiReward

    if beta is not None and name != PopiReward.name:
        raise UsageError(f"--beta is of the reward 'popi', and --reward is {name!r}; drop one")
    if beta is not None and not 0 < beta < math.inf:
        raise UsageError(f"--beta is {beta:g}; it must be a number above 0")
    if not 0 <= penalty < math.inf:
        raise UsageError(f"--token-penalty is {penalty:g}; it must be 0 or more")
    if name == PopiReward.name:
        popi = PopiReward(token_budget=budget, token_penalty=penalty)
        return popi if beta is None else replace(popi, beta=beta)
    other = {each.name: each for each in (AccuracyReward, MarginReward)}[name]
    return other(token_budget=budget, token_penalty=penalty)


def _estimate(users: Sequence[User], settings: Settings, as_json: bool) -> None:
    from popi_prompt.cli.dry_run import print_estimate
    from popi_prompt.estimate import estimate

    print_estimate(estimate(users, settings), settings.access.caps, as_json)


def _write_untuned(program: object, output: Path, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json
    from popi_prompt.program import Program

    assert isinstance(program, Program)
    program.save(output)
    if as_json:
        print_json({"program": str(output)})
    else:
        click.echo(f"Wrote the untuned program to {output}")


def _keep_best(display: object, output: Path) -> None:
    from popi_prompt.cli.progress import Display

    assert isinstance(display, Display)
    if display.best is not None:
        kept = output.with_name(f"{output.stem}.partial{output.suffix or '.json'}")
        display.best.save(kept)
        click.echo(
            f"Kept the best program so far, not yet compared on held-out users: {kept}", err=True
        )


def _print(done: object, data: Path, output: Path, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json, print_report
    from popi_prompt.workflow import Optimized

    assert isinstance(done, Optimized)
    print_bill(done.spent)
    if as_json:
        run = {"stopped": done.stopped, "spent": bill_record(done.spent)}
        print_json({"program": str(output), **run, **done.report.as_record()})
        return
    if done.stopped is not None:
        click.echo(f"Ended early: {done.stopped}. This is the best program so far.")
    if done.report.rows:
        print_report(done.report, "held-out users, not seen while optimizing")
    else:
        click.echo("It was not compared on held-out users; `popi-prompt evaluate` does that.")
    click.echo(f"Wrote {output}. It holds {done.program.holds}.")
    user = done.split.test[0].user_id
    click.echo(
        f"Next, see what it changes:\n  popi-prompt respond {output} --user-file {data} "
        f'--user {user} --compare "Why is the sky blue?"'
    )
