"""popi-prompt respond"""

from __future__ import annotations

from pathlib import Path

import click

from popi_prompt.cli.access import AccessOptions, access_options, print_bill


@click.command(name="respond", short_help="Answer a prompt the way a person wants.")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("prompt")
@click.option("--summary", help="The summary itself.")
@click.option("--summaries", type=click.Path(path_type=Path), help="A file that `infer` wrote.")
@click.option(
    "--user-file", type=click.Path(path_type=Path), help="Users; the summary is inferred."
)
@click.option("--user", "user_id", help="Which user of the file; not needed for a file of one.")
@click.option("--model", help="Any LiteLLM route.  [default: the program's generator]")
@click.option("--compare", is_flag=True, help="Also answer without the summary.")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print summary and answers as JSON.")
def command(
    program: Path,
    prompt: str,
    summary: str | None,
    summaries: Path | None,
    user_file: Path | None,
    user_id: str | None,
    model: str | None,
    compare: bool,
    as_json: bool,
    options: AccessOptions,
) -> None:
    """Answer PROMPT with PROGRAM, for the person that one of the options names.

    \b
    Examples:
      popi-prompt respond programs/tastes.json --summary "Short, simple words." "What is rain?"
      popi-prompt respond programs/tastes.json --user-file datasets/tastes.jsonl --user u001 \\
        --compare "What is rain?"
    """
    from popi_prompt.errors import UsageError
    from popi_prompt.program import load

    if sum(source is not None for source in (summary, summaries, user_file)) != 1:
        raise UsageError("name the person with exactly one of --summary, --summaries, --user-file")
    if not prompt.strip():
        raise UsageError("the prompt is empty")
    if summary is not None and not summary.strip():
        raise UsageError("--summary is empty")
    access = options.access()
    loaded = load(program)
    user = None
    if summaries is not None:
        from popi_prompt.summaries import load_summary

        summary = load_summary(summaries, user_id)
    elif user_file is not None:
        from popi_prompt.dataset import load_users, pick_user

        user = pick_user(load_users(user_file), user_id, user_file)
    from popi_prompt.cli.progress import Display

    with (
        Display() as display,
        access.door(access.names(loaded.models, generator=model), display) as door,
    ):
        bound = loaded.through(door)
        summary = bound.infer_user(user) if user is not None else summary
        assert summary is not None
        answer = bound.respond(prompt, summary)
        bare = bound.respond(prompt, None) if compare else None
    print_bill(door.spent())
    _print(summary, answer, bare, as_json)


def _print(summary: str, answer: str, bare: str | None, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json, print_side_by_side

    if as_json:
        record = {"summary": summary, "answer": answer}
        print_json(record if bare is None else {**record, "without_summary": bare})
    elif bare is None:
        click.echo(answer)
    else:
        print_side_by_side(summary, answer, bare)
