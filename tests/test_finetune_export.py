"""Training files: who is in them, which summaries, and what a second export costs."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finetune_scene import (
    COPY,
    EXPERT,
    PLAIN,
    SUMMARIES,
    door_of,
    lines,
    plan_in,
    program_of,
    reply,
    user,
    users,
)

from popi_prompt.candidate import Candidate, Demonstration
from popi_prompt.errors import (
    BadResponse,
    BudgetExceeded,
    ModelError,
    ModelUnavailable,
    OptimizationError,
    ProgramError,
    UnknownModel,
    UsageError,
)
from popi_prompt.finetune.examples import FAILED, NO_GAIN, NO_SIGNALS, REPEATS, SMALL_MARGIN
from popi_prompt.finetune.export import export, recipe_of
from popi_prompt.finetune.parts import BEYOND, HELD_OUT, NO_PAIRS, NOT_WANTED, parts_of
from popi_prompt.finetune.plan import Plan
from popi_prompt.finetune.report import Exported
from popi_prompt.inference import summarizer
from popi_prompt.models.model import Sampling
from popi_prompt.models.route import Route
from popi_prompt.models.spent import Caps
from popi_prompt.prompts import Messages
from popi_prompt.schema import Persona, User
from popi_prompt.seen import held_out
from popi_prompt.split import split_users
from popi_prompt.testing import FakeModel, fake_door

PEOPLE = users()


def run(plan: Plan, people: tuple[User, ...] = PEOPLE, **models: Any) -> Exported:
    return export(program_of(people), people, plan, door_of(**models))


def prompts_in(path: Path) -> set[str]:
    return {line["messages"][-2]["content"] for line in lines(path)}


def by_taste(line: dict[str, Any]) -> str:
    """The summary that this line's user should have."""
    liked = next(
        part for part in line["messages"][-2]["content"].split("\n") if part.startswith("Liked: ")
    )
    return SUMMARIES[1] if PLAIN in liked else SUMMARIES[2]


def test_sft_takes_the_best_summary_of_each_training_user(tmp_path: Path) -> None:
    done = run(plan_in(tmp_path))
    found = lines(tmp_path / "train.jsonl")
    assert len(found) == done.train.examples == done.train.users == len(split_users(PEOPLE).train)
    for line in found:
        assert [each["role"] for each in line["messages"]] == ["system", "user", "assistant"]
        assert line["messages"][-1]["content"] == by_taste(line)


def test_pairs_are_the_best_against_the_worst(tmp_path: Path) -> None:
    run(plan_in(tmp_path, kind="preference", provider="trl"))
    for line in lines(tmp_path / "train.jsonl"):
        best = by_taste({"messages": [*line["prompt"], None]})
        worst = next(each for each in SUMMARIES[1:] if each != best)
        assert line["chosen"] == [{"role": "assistant", "content": best}]
        assert line["rejected"] == [{"role": "assistant", "content": worst}]


def test_held_out_users_never_go_in_and_the_files_share_no_user(tmp_path: Path) -> None:
    program = program_of(PEOPLE)
    done = run(plan_in(tmp_path))
    split = split_users(PEOPLE)
    train, validation = (prompts_in(tmp_path / f"{name}.jsonl") for name in ("train", "validation"))
    told = {person.user_id: f"Request: {person.signals[0].prompt}\n" for person in PEOPLE}  # type: ignore[union-attr]
    for people, inside, outside in (
        (split.train, train, validation),
        (split.val, validation, train),
    ):
        for person in people:
            assert any(each.startswith(told[person.user_id]) for each in inside)
            assert not any(each.startswith(told[person.user_id]) for each in outside)
    for person in held_out(program, PEOPLE):
        assert not any(each.startswith(told[person.user_id]) for each in train | validation)
    assert done.own_split
    assert done.apart == {HELD_OUT: len(split.test)}


def test_users_of_other_data_are_split_by_the_programs_seed() -> None:
    program = program_of(users(16), seed=3)
    parts = parts_of(program, PEOPLE)
    split = split_users(PEOPLE, seed=3)
    assert not parts.own
    assert set(parts.train) == set(split.train)
    assert set(parts.validation) == set(split.val)
    assert parts_of(program, PEOPLE[::-1]) == parts


def test_everybody_is_counted_somewhere() -> None:
    bare = replace(user(90), pairs=())
    people = (*PEOPLE, bare)
    for validate, most in ((True, None), (True, 2), (False, 2)):
        parts = parts_of(program_of(people), people, most, validate=validate)
        counted = len(parts.train) + len(parts.validation) + sum(parts.apart.values())
        assert counted == len(people)
        assert parts.apart[NO_PAIRS] == 1
        assert (NOT_WANTED in parts.apart) is not validate
        assert (BEYOND in parts.apart) is (most is not None)
        assert most is None or len(parts.train) == most


def test_a_program_of_a_part_of_the_data_keeps_its_own_split() -> None:
    from popi_prompt.drawing import sample

    own = sample(PEOPLE, 12, 0)
    parts = parts_of(program_of(own), PEOPLE)
    assert parts.own
    assert set(parts.train) == set(split_users(own).train)
    assert len(parts.train) + len(parts.validation) + sum(parts.apart.values()) == len(PEOPLE)


def test_the_messages_are_those_that_the_inference_step_sends(tmp_path: Path) -> None:
    shown = Candidate("Say what they like.", (Demonstration("- a", "Be b."),), view="liked")
    program = replace(program_of(PEOPLE), candidate=shown)
    for with_demonstrations in (False, True):
        plan = plan_in(tmp_path, with_demonstrations=with_demonstrations)
        export(program, PEOPLE, plan, door_of())
        tuned = shown if with_demonstrations else replace(shown, demonstrations=())
        sent = []
        for person in sorted(split_users(PEOPLE).train, key=lambda each: each.user_id):
            model = FakeModel("x")
            summarizer(tuned, fake_door({"inference": model}))(person)
            sent.append([{"role": m.role, "content": m.content} for m in model.calls[0][1]])
        assert [line["messages"][:-1] for line in lines(tmp_path / "train.jsonl")] == sent


def test_a_second_export_in_another_format_calls_no_model(tmp_path: Path) -> None:
    run(plan_in(tmp_path))
    inference, generator = FakeModel(reply), FakeModel()
    other = plan_in(tmp_path, kind="preference", output=tmp_path / "pairs.jsonl")
    done = run(other, inference=inference, generator=generator)
    assert inference.calls == generator.calls == []
    assert done.train.examples == len(split_users(PEOPLE).train)


def test_more_draws_pay_only_for_the_new_ones(tmp_path: Path) -> None:
    run(plan_in(tmp_path, draws=2))
    inference = FakeModel(reply)
    run(plan_in(tmp_path, draws=3), inference=inference)
    split = split_users(PEOPLE)
    assert len(inference.calls) == len(split.train) + len(split.val)
    again = FakeModel(reply)
    fewer = run(plan_in(tmp_path, draws=2), inference=again)
    assert again.calls == []
    experts = [each for each in split.train if each.pairs[0].chosen == EXPERT]
    assert fewer.train.left_out == {NO_GAIN: len(experts)}


def test_a_user_who_changed_is_drawn_again(tmp_path: Path) -> None:
    run(plan_in(tmp_path))
    changed = replace(PEOPLE[0], signals=(Persona("likes short answers"),))
    people = (changed, *PEOPLE[1:])
    inference = FakeModel(reply)
    program = program_of(PEOPLE, dataset=program_of(people).origin.dataset)
    export(program, people, plan_in(tmp_path), door_of(inference))
    asked = {messages[-1].content for _, messages in inference.calls}
    in_files = changed in (*split_users(people).train, *split_users(people).val)
    assert asked == ({"About the person: likes short answers"} if in_files else set())


def test_what_a_cap_interrupts_goes_on(tmp_path: Path) -> None:
    models = {"inference": FakeModel(reply), "generator": FakeModel()}
    with pytest.raises(BudgetExceeded):
        export(program_of(PEOPLE), PEOPLE, plan_in(tmp_path), fake_door(models, Caps(calls=30)))
    assert not (tmp_path / "train.jsonl").exists()
    asked = len(models["inference"].calls)
    run(plan_in(tmp_path), inference=models["inference"])
    split = split_users(PEOPLE)
    assert asked >= 3
    assert len(models["inference"].calls) <= 3 * (len(split.train) + len(split.val)) + 1


@pytest.mark.parametrize("kind", ["sft", "preference"])
def test_no_summary_repeats_signals_of_anybody(tmp_path: Path, kind: str) -> None:
    def copying(messages: Messages, sampling: Sampling) -> str:
        return COPY if sampling.sample == 1 else reply(messages, sampling)

    generator = FakeModel()
    done = run(
        plan_in(tmp_path, kind=kind, min_margin=0.0),
        inference=FakeModel(copying),
        generator=generator,
    )
    assert "simple everyday words that a young" not in str(
        [line["messages"][-1] for line in lines(tmp_path / "train.jsonl")]
        if kind == "sft"
        else [line["preferred_output"] for line in lines(tmp_path / "train.jsonl")]
    )
    assert done.train.repeats == 0
    assert done.train.completions == done.train.examples * (1 if kind == "sft" else 2)
    assert done.train.missed == {"Copied": done.train.users}
    assert done.runs > 0
    told = {messages[0].content for what, messages in generator.calls if what == "logprobs"}
    assert COPY not in told


def test_copies_in_an_older_file_of_samples_are_left_out(tmp_path: Path) -> None:
    run(plan_in(tmp_path))
    # Now somebody's signals say what every summary says.
    text = " ".join(["Simple everyday words."] * 2 + ["Precise technical terms."] * 2)
    told = User("z", (Persona(text),))
    doubled = {each: f"{each} {each}" for each in SUMMARIES}
    samples = tmp_path / "samples.jsonl"
    content = samples.read_text("utf-8")
    for short, long in doubled.items():
        content = content.replace(f'"text": "{short}"', f'"text": "{long}"')
    samples.write_text(content, "utf-8")
    people = (*PEOPLE, told)
    program = program_of(people)
    with pytest.raises(OptimizationError, match=f"{REPEATS}|{NO_GAIN}"):
        export(program, people, plan_in(tmp_path), door_of())


def test_why_users_are_left_out_is_counted(tmp_path: Path) -> None:
    quiet = replace(user(40), signals=())
    people = (*PEOPLE, quiet, *(replace(user(n), signals=()) for n in range(41, 60)))
    done = run(plan_in(tmp_path), people)
    without = sum(not each.signals for each in split_users(people).train)
    assert done.train.left_out == {NO_SIGNALS: without}
    assert done.train.examples == done.train.users - without


def test_pairs_need_the_minimum_margin(tmp_path: Path) -> None:
    with pytest.raises(OptimizationError, match=SMALL_MARGIN):
        run(plan_in(tmp_path, kind="preference", min_margin=1000.0))
    assert not (tmp_path / "train.jsonl").exists()


def test_summaries_that_do_not_help_are_not_trained_on(tmp_path: Path) -> None:
    with pytest.raises(OptimizationError, match=NO_GAIN):
        run(plan_in(tmp_path), inference=FakeModel("Answer somehow."))


def test_a_draw_that_fails_for_good_is_counted_and_not_repeated(tmp_path: Path) -> None:
    def refuses(messages: Messages) -> ModelError | None:
        return BadResponse("refused") if "signal 1\n" in messages[-1].content else None

    done = run(plan_in(tmp_path, kind="preference"), inference=FakeModel(reply, fails=refuses))
    split = split_users(PEOPLE)
    for part, people in ((done.train, split.train), (done.validation, split.val)):
        assert part is not None
        if user(1) in people:
            assert part.missed == {"BadResponse": 3}
            assert part.left_out == {FAILED: 1}
    again = FakeModel(reply)
    run(plan_in(tmp_path, kind="preference"), inference=again)
    assert again.calls == []


def test_a_draw_that_may_work_another_time_is_tried_again(tmp_path: Path) -> None:
    split = split_users(PEOPLE)
    lost = split.train[0]

    def unavailable(messages: Messages) -> ModelError | None:
        lost_one = f"{lost.signals[0].prompt}\n" in messages[-1].content  # type: ignore[union-attr]
        return ModelUnavailable("timed out") if lost_one else None

    done = run(plan_in(tmp_path), inference=FakeModel(reply, fails=unavailable))
    assert list(done.failed) == [lost.user_id]
    assert "timed out" in done.failed[lost.user_id]
    assert done.train.left_out == {FAILED: 1}
    whole = run(plan_in(tmp_path))
    assert not whole.failed
    assert whole.train.left_out == {}


def test_the_gap_is_best_against_mean_worst_and_the_programs_own(tmp_path: Path) -> None:
    done = run(plan_in(tmp_path))
    gaps = done.train.gaps
    assert gaps is not None
    assert gaps.program is not None
    assert gaps.users == done.train.users
    assert 0 < gaps.mean.mean < gaps.worst.mean
    assert gaps.mean.low <= gaps.mean.mean <= gaps.mean.high
    assert 0 < gaps.program.mean < gaps.worst.mean


def test_tokens_are_counted_and_priced_where_a_price_is_given(tmp_path: Path) -> None:
    done = run(plan_in(tmp_path, price=2_000_000.0))
    found = lines(tmp_path / "train.jsonl")
    answers = sum(len(line["messages"][-1]["content"].split()) for line in found)
    prompts = sum(len(m["content"].split()) for line in found for m in line["messages"][:-1])
    tokens = done.train.tokens
    assert tokens is not None
    assert (tokens.prompts, tokens.completions) == (prompts, answers)
    assert tokens.usd == pytest.approx(2 * (prompts + answers))
    unpriced = run(plan_in(tmp_path)).train.tokens
    assert unpriced is not None
    assert unpriced.usd is None


def test_without_a_tokenizer_tokens_are_unknown(tmp_path: Path) -> None:
    run(plan_in(tmp_path))

    def gone(route: object) -> FakeModel:
        raise UnknownModel("no such model")

    from popi_prompt.models.door import Door

    door = Door({r: f"fake/{r}" for r in ("generator", "inference", "judge")}, open_model=gone)
    done = export(program_of(PEOPLE), PEOPLE, plan_in(tmp_path), door)
    assert done.train.tokens is None
    assert done.as_record()["train"]["tokens"] is None


def test_anonymise_masks_prompts_and_summaries_in_the_files(tmp_path: Path) -> None:
    def telling(messages: Messages, sampling: Sampling) -> str:
        return f"{reply(messages, sampling)} Write to ann@example.org."

    people = tuple(
        replace(each, signals=(*each.signals, Persona("Call +49 170 1234567 or bob@example.com.")))
        for each in PEOPLE
    )
    run(plan_in(tmp_path, anonymise=True), people, inference=FakeModel(telling))
    for name in ("train", "validation"):
        text = (tmp_path / f"{name}.jsonl").read_text("utf-8")
        assert "example." not in text
        assert "1234567" not in text
        assert "Write to" in text
    plain = run(plan_in(tmp_path), people, inference=FakeModel(telling))
    assert plain.train.examples
    assert "ann@example.org" in (tmp_path / "train.jsonl").read_text("utf-8")


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    run(plan_in(tmp_path))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    kept = {path.name for path in tmp_path.iterdir()} - {".samples.jsonl.lock"}
    assert kept == {"train.jsonl", "samples.jsonl", "validation.jsonl"}


def test_another_recipe_does_not_mix_its_samples_in(tmp_path: Path) -> None:
    run(plan_in(tmp_path))
    with pytest.raises(UsageError, match=r"sampled with temperature 0\.8.*--samples"):
        run(plan_in(tmp_path, temperature=0.5))
    other = replace(program_of(PEOPLE), candidate=Candidate("Something else."))
    with pytest.raises(UsageError, match="sampled with program"):
        export(other, PEOPLE, plan_in(tmp_path), door_of())


DECIDING = [
    *({"temperature": 0.1}, {"max_tokens": 300}, {"api_base": "http://127.0.0.1:1/v1"}),
    {"headers": (("X-Team", "one"),)},
]
ON_THE_WAY = [
    *({"api_key_env": "MY_API_KEY"}, {"concurrency": 2, "rpm": 9}, {"timeout": 5.0}),
    {"price_in": 1.0, "price_out": 2.0},
]


@pytest.mark.parametrize("settings", DECIDING)
@pytest.mark.parametrize("role", ["inference", "generator"])
def test_settings_that_decide_answers_are_of_the_recipe(
    tmp_path: Path, role: str, settings: dict[str, Any]
) -> None:
    run(plan_in(tmp_path))
    door = door_of().elsewhere({role: Route(f"fake/{role}", **settings)})
    with pytest.raises(UsageError, match=rf"models\.{role} 'fake/{role}'.*--samples"):
        export(program_of(PEOPLE), PEOPLE, plan_in(tmp_path), door)
    own = plan_in(tmp_path, samples=tmp_path / "own.jsonl")
    again = door_of().elsewhere({role: Route(f"fake/{role}", **settings)})
    assert export(program_of(PEOPLE), PEOPLE, own, door).train.examples
    assert export(program_of(PEOPLE), PEOPLE, own, again).train.examples


@pytest.mark.parametrize("settings", ON_THE_WAY)
def test_how_models_are_reached_and_paid_is_not(tmp_path: Path, settings: dict[str, Any]) -> None:
    program, plan = program_of(PEOPLE), plan_in(tmp_path)
    door = door_of().elsewhere({"inference": Route("fake/inference", **settings)})
    plain = recipe_of(program, plan, door_of())
    assert recipe_of(program, plan, door) == plain
    assert plain.models == {"inference": "fake/inference", "generator": "fake/generator"}


def test_an_unknown_reward_is_an_error_of_the_program(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="reward 'fun' is unknown; known: popi"):
        export(program_of(PEOPLE, reward="fun"), PEOPLE, plan_in(tmp_path), door_of())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"provider": "nobody"}, "no format 'sft' of 'nobody'; known: openai"),
        ({"kind": "kto"}, "no format 'kto'"),
        ({"temperature": -1.0}, "--temperature is -1"),
        ({"temperature": float("nan")}, "--temperature is nan"),
        ({"min_margin": -0.1}, "--min-margin is -0.1"),
        ({"price": float("inf")}, "--price is inf"),
        ({"draws": 0}, "--draws is 0; sft needs 1"),
        ({"kind": "preference", "draws": 1}, "--draws is 1; preference needs 2"),
        (
            {"kind": "preference", "provider": "fireworks", "with_demonstrations": True},
            "fireworks takes preference examples of one turn",
        ),
    ],
)
def test_a_plan_that_cannot_work_is_refused(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        plan_in(tmp_path, **changes).check()
    assert "\n" not in str(caught.value)


def test_files_must_differ(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be different files"):
        plan_in(tmp_path, samples=tmp_path / "train.jsonl").check()
    with pytest.raises(UsageError, match="does not exist"):
        plan_in(tmp_path, samples=tmp_path / "no" / "train.jsonl").check()
