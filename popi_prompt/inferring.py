"""The summaries of many users by one program."""

from __future__ import annotations

from collections.abc import Sequence

from popi_prompt.errors import CallError
from popi_prompt.evaluation import Failure, in_parallel
from popi_prompt.events import Advanced, Observer, PhaseStarted, ignore
from popi_prompt.generator import Generator
from popi_prompt.inference import note_written, summarizer
from popi_prompt.program import Program
from popi_prompt.schema import User
from popi_prompt.summaries import Summary


def infer_all(
    program: Program, users: Sequence[User], observer: Observer = ignore
) -> tuple[tuple[Summary, ...], tuple[Failure, ...]]:
    """Summaries of all users, in their order, and the users that failed.

    Raises `ModelError` where inference model or generator, which counts the tokens, cannot be
    opened: that is nobody's failure, and no summary is paid for.
    """
    door = program.door
    door.model("generator")
    summarize = summarizer(program.candidate, door)
    generator = Generator(door, program.candidate.conditioning)

    def one(user: User) -> Summary | Failure:
        try:
            text = summarize(user)
            return Summary(user.user_id, text, generator.overhead(text))
        except CallError as error:
            return Failure(user.user_id, str(error))
        finally:
            observer(Advanced())

    note_written(program.candidate, users, door, observer)
    observer(PhaseStarted("inferring summaries", len(users)))
    results = in_parallel(one, users, door.model("inference").concurrency)
    summaries = tuple(each for each in results if isinstance(each, Summary))
    return summaries, tuple(each for each in results if isinstance(each, Failure))
