"""popi-prompt optimize"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import AccessOptions, access_options, print_bill
from popi_prompt.cli.recording import RecordingOptions, recording_options
from popi_prompt.cli.search import SearchOptions, search_options
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.cli.progress import Display
    from popi_prompt.optimized import Optimized
    from popi_prompt.runs import RunFolder
    from popi_prompt.schema import User
    from popi_prompt.settings import Settings


@click.command(name="optimize", short_help="Compile a program from a file of users.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Program.")
@search_options
@access_options
@recording_options
@click.option("--untuned", is_flag=True, help="Write the untuned program; optimize nothing.")
@click.option("--dry-run", is_flag=True, help="Print calls, tokens, USD, time; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    data: Path,
    output: Path,
    search: SearchOptions,
    untuned: bool,
    dry_run: bool,
    as_json: bool,
    options: AccessOptions,
    recording: RecordingOptions,
) -> None:
    """Compile a program from DATA, a JSONL file of users.

    Users are split into three parts without common users or prompts: to learn from, to choose by,
    and held out for the report. If the held-out users do not prove the program to be better than
    the untuned one, the untuned one is written, unless --force. Ctrl-C keeps the best program so
    far beside OUTPUT; at a cap before that comparison the best one so far is OUTPUT. The same
    command goes on where an interrupted one was: what was paid for is not asked again, and the
    program is the same.

    Demonstrations in the program are of invented people, unless all users are marked public or
    --demos real says otherwise.

    \b
    Examples:
      popi-prompt optimize datasets/tastes.jsonl -o tastes.json
      popi-prompt optimize users.jsonl -o p.json --demos synthetic --folds 5
      popi-prompt optimize users.jsonl -o p.json --generator openai/gpt-4o-mini --dry-run
      popi-prompt optimize users.jsonl -o p.json --optimizer mipro --max-calls 2000
      popi-prompt optimize users.jsonl -o p.json --pareto --trials 20
    """
    from popi_prompt.cli.consent import agreed
    from popi_prompt.dataset import load_users

    if untuned:
        _check_untuned(search, recording, dry_run)
    if not dry_run:
        options.check_outputs(_outputs(output, search, untuned), data)
        recording.check(_outputs(output, search, untuned))
    search.maximised()
    search.searched_by()
    access = options.access()
    users = load_users(data, need_pairs=True)
    settings = search.settings(access)
    if dry_run:
        _estimate(users, settings, as_json)
    elif untuned:
        _write_untuned(users, settings, output, as_json)
    else:
        agreed(users, settings, search.yes)
        done = _optimized(users, settings, output, recording.folder(users, settings, output))
        _save(done, output, search.trades())
        _print(done, data, output, as_json)


def _check_untuned(search: SearchOptions, recording: RecordingOptions, dry_run: bool) -> None:
    given = {
        "--dry-run": dry_run,
        "--folds": search.folds is not None,
        "--pareto": search.pareto,
        "--force": search.force,
        "--run-dir": recording.run_dir is not None,
        "--storage": recording.storage is not None,
    }
    for name, there in given.items():
        if there:
            raise UsageError(f"--untuned searches and measures nothing; drop {name}")


def _outputs(output: Path, search: SearchOptions, untuned: bool) -> list[Path]:
    """The files that may be written, whatever comes."""
    from popi_prompt.front import front_path

    if untuned:
        return [output]
    return [output, _partial(output), *([front_path(output)] if search.trades() else [])]


def _partial(output: Path) -> Path:
    return output.with_name(f"{output.stem}.partial{output.suffix or '.json'}")


def _optimized(
    users: Sequence[User], settings: Settings, output: Path, run: RunFolder
) -> Optimized:
    from popi_prompt.cli.progress import Display
    from popi_prompt.workflow import optimize

    with Display() as display:
        try:
            return optimize(users, settings, observer=display, run=run)
        except KeyboardInterrupt:
            _keep_best(display, output)
            raise


def _estimate(users: Sequence[User], settings: Settings, as_json: bool) -> None:
    from popi_prompt.cli.dry_run import print_estimate
    from popi_prompt.estimate import estimate

    print_estimate(estimate(users, settings), settings.access.caps, as_json)


def _save(done: Optimized, output: Path, trades: bool) -> None:
    from popi_prompt.front import front_path, save_front

    done.program.save(output)
    front = front_path(output)
    if done.front:
        save_front(done.front, front)
    elif trades and front.exists():
        click.echo(f"{front} is of an earlier run: this one has no front", err=True)


def _write_untuned(users: Sequence[User], settings: Settings, output: Path, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json
    from popi_prompt.workflow import untuned

    untuned(settings, users).save(output)
    if as_json:
        print_json({"program": str(output)})
    else:
        click.echo(f"Wrote the untuned program to {output}")


def _keep_best(display: Display, output: Path) -> None:
    if display.best is not None:
        kept = _partial(output)
        display.best.save(kept)
        click.echo(
            f"Kept the best program so far, not yet compared on held-out users: {kept}", err=True
        )


def _print(done: Optimized, data: Path, output: Path, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json
    from popi_prompt.cli.tables import print_folds, print_report
    from popi_prompt.front import front_path, holds

    print_bill(done.spent)
    if as_json:
        front = {"front": str(front_path(output))} if done.front else {}
        print_json({"program": str(output), **front, **done.as_record()})
        return
    if done.folds is not None:
        print_folds(done.folds)
    if done.report.rows:
        print_report(done.report, "held-out users, not seen while optimizing")
    else:
        click.echo(f"Ended early: {done.stopped}. This is the best program so far.")
        click.echo("It was not compared on held-out users; `popi-prompt evaluate` does that.")
    click.echo(_wrote(done, output))
    if done.front:
        path, count = front_path(output), len(done.front)
        click.echo(
            f"Wrote {count} program{'s' * (count > 1)} to choose from, fewer tokens for less "
            f"reward, to {path}. It holds {holds(done.front)}.\n  popi-prompt show --front {path}"
        )
    user = done.split.test[0].user_id
    click.echo(
        f"Next, see what it changes:\n  popi-prompt respond {output} --user-file {data} "
        f'--user {user} --compare "Why is the sky blue?"'
    )


def _wrote(done: Optimized, output: Path) -> str:
    if done.kept_baseline:
        return (
            f"Wrote the untuned program to {output}: better is not proven. More users prove more; "
            "--force writes the compiled program all the same."
        )
    if done.report.rows and done.shipped == "untuned":
        return f"Wrote the untuned program to {output}: none was better on the users to choose by."
    return f"Wrote {output}. It holds {done.program.holds}."
