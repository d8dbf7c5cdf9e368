"""popi-prompt respond"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.access import AccessOptions, access_options, print_bill
from popi_prompt.cli.gathered import gathered
from popi_prompt.errors import DataError, UsageError

if TYPE_CHECKING:
    from popi_prompt.events import Observer
    from popi_prompt.program import Program
    from popi_prompt.schema import User


_PERSON = (
    click.option("--summary", help="The summary itself."),
    click.option("--summaries", type=click.Path(path_type=Path), help="A file that `infer` wrote."),
    click.option(
        "--user-file", type=click.Path(path_type=Path), help="Users; the summary is inferred."
    ),
    click.option("--user", "user_id", help="Which user of the file; not needed for a file of one."),
)
_ANSWER = (
    click.option("--model", help="Any LiteLLM route.  [default: the program's generator]"),
    click.option("--compare", is_flag=True, help="Also answer without the summary."),
)


@dataclass(frozen=True, slots=True)
class PersonOptions:
    """Whom the answer is for, as given."""

    summary: str | None
    summaries: Path | None
    user_file: Path | None
    user_id: str | None

    def check(self) -> None:
        """Raises `UsageError` where nobody is named, or by more than one option."""
        given = (self.summary, self.summaries, self.user_file)
        if sum(source is not None for source in given) != 1:
            raise UsageError(
                "name the person with exactly one of --summary, --summaries, --user-file"
            )

    def known(self) -> tuple[str | None, str | User]:
        """Who it is, as far as that is known; the summary, or the user it is to be inferred of."""
        if self.summaries is not None:
            from popi_prompt.summaries import load_summary

            return load_summary(self.summaries, self.user_id)
        if self.user_file is not None:
            from popi_prompt.dataset import load_users, pick_user

            user = pick_user(load_users(self.user_file), self.user_id, self.user_file)
            return user.user_id, user
        assert self.summary is not None
        return self.user_id, self.summary


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Which answers, as given."""

    model: str | None
    compare: bool


@click.command(name="respond", short_help="Answer a prompt the way a person wants.")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("prompt")
@gathered(_PERSON, PersonOptions, "person")
@gathered(_ANSWER, AnswerOptions, "wanted")
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print summary and answers as JSON.")
def command(
    program: Path,
    prompt: str,
    person: PersonOptions,
    wanted: AnswerOptions,
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
    from popi_prompt.program import load

    person.check()
    _check_text(prompt, "the prompt")
    if person.summary is not None:
        _check_text(person.summary, "--summary")
    if wanted.model is not None and not wanted.model.strip():
        raise UsageError("--model is empty; leave it out to ask the program's generator")
    access = options.access()
    loaded = load(program)
    user_id, known = person.known()

    from popi_prompt.cli.progress import Display
    from popi_prompt.models.attribution import attributed

    names = access.names(loaded.models, generator=wanted.model)
    with Display() as display, access.door(names, display) as door:
        bound = loaded.through(door)
        summary = known if isinstance(known, str) else _inferred(bound, known, display)
        with attributed(user_id=user_id):
            answer = bound.respond(prompt, summary)
            bare = bound.respond(prompt, None) if wanted.compare else None
    print_bill(door.spent())
    _print(summary, answer, bare, as_json)


def _check_text(text: str, what: str) -> None:
    from popi_prompt.fields import text_value

    try:
        text_value(text, what)
    except DataError as error:
        raise UsageError(str(error)) from None


def _inferred(program: Program, user: User, observer: Observer) -> str:
    from popi_prompt.inference import note_written

    note_written(program.candidate, [user], program.door, observer)
    return program.infer_user(user)


def _print(summary: str, answer: str, bare: str | None, as_json: bool) -> None:
    from popi_prompt.cli.render import plain, print_json, print_side_by_side

    if as_json:
        record = {"summary": summary, "answer": answer}
        print_json(record if bare is None else {**record, "without_summary": bare})
    elif bare is None:
        click.echo(plain(answer))
    else:
        print_side_by_side(summary, answer, bare)
