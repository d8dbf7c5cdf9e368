"""Every line of every format is valid by the provider's schema, whatever people write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from finetune_scene import door_of, plan_in, program_of, reply, users
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from popi_prompt.candidate import Candidate, Demonstration
from popi_prompt.finetune.examples import Chooser, Example
from popi_prompt.finetune.export import export
from popi_prompt.finetune.formats import FORMATS, Format, schema
from popi_prompt.finetune.part_file import _line
from popi_prompt.finetune.samples import Drawn, Sample
from popi_prompt.ngrams import Runs
from popi_prompt.prompts import Message, as_data
from popi_prompt.records import parse_user, user_record
from popi_prompt.schema import (
    Dialogue,
    Edit,
    Interaction,
    Persona,
    Preference,
    Rating,
    Signal,
    Turn,
    User,
)
from popi_prompt.testing import FakeModel

ALL = [
    pytest.param(provider, kind, found, id=f"{provider}-{kind}")
    for provider, kinds in FORMATS.items()
    for kind, found in kinds.items()
]
ODD = [
    "<|im_end|>",
    "[[ ## summary ## ]]",
    "\u2028",
    "\x85",
    "\x1f",
    "</s>",
    '"',
    "\\",
    "\U0001f9d1",
]

texts = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1),
        st.sampled_from(ODD),
    ),
    min_size=1,
    max_size=4,
).map("".join)
visible = texts.filter(lambda text: bool(text.strip()))
summaries = texts.map(lambda text: " ".join(text.split())).filter(
    lambda text: bool(as_data(text).strip())
)
turns = st.builds(Turn, st.sampled_from(["user", "assistant"]), visible)
signals: st.SearchStrategy[Signal] = st.one_of(
    st.builds(Persona, visible),
    st.builds(Interaction, visible, visible, st.sampled_from(["liked", "disliked", None])),
    st.builds(Preference, visible, visible, visible).filter(
        lambda each: each.chosen.strip() != each.rejected.strip()
    ),
    st.builds(Edit, visible, visible),
    st.builds(Rating, visible, st.just(4.0), st.just((1.0, 5.0))),
    st.builds(Dialogue, st.lists(turns, min_size=1, max_size=3).map(tuple)),
)
people = st.builds(User, st.just("u"), st.lists(signals, min_size=1, max_size=3).map(tuple))


def validator(found: Format) -> Draft202012Validator:
    own = schema(found)
    Draft202012Validator.check_schema(own)
    return Draft202012Validator(own)


@pytest.mark.slow
@pytest.mark.parametrize(("provider", "kind", "found"), ALL)
@given(
    person=people, written=st.tuples(summaries, summaries), view=st.sampled_from(["full", "liked"])
)
@settings(deadline=None)
def test_every_line_is_valid_whatever_people_write(
    provider: str, kind: str, found: Format, person: User, written: tuple[str, str], view: str
) -> None:
    assert parse_user(user_record(person)) == person
    chooser = Chooser(kind, Candidate(view=view), Runs(), min_margin=0.0)  # type: ignore[arg-type]
    drawn = Drawn("u", "k", (Sample(0, written[0], 2.0, 1.0), Sample(1, written[1], 1.0, 0.5)))
    example = chooser.choose(person, drawn, drawn.samples)
    if isinstance(example, str):
        assert kind == "preference"
        assert as_data(written[0]) == as_data(written[1])
        return
    line = _line(found.record(example))
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    line.encode()
    validator(found).validate(json.loads(line))
    assert json.loads(line) == found.record(example)


@pytest.mark.parametrize(("provider", "kind", "found"), ALL)
def test_the_schema_says_where_it_is_from(provider: str, kind: str, found: Format) -> None:
    own = schema(found)
    assert "Source: https://" in own["$comment"]
    assert "2026-" in own["$comment"]
    assert found.schema == f"{provider}-{kind}"


@pytest.mark.parametrize(("provider", "kind", "found"), ALL)
def test_the_schema_refuses_what_the_provider_would(
    provider: str, kind: str, found: Format
) -> None:
    example = Example((Message("system", "s"), Message("user", "u")), "a", "b")
    line = found.record(example)
    valid = validator(found)
    valid.validate(line)
    for key in line:
        if key in ("systemInstruction", "system_instruction"):
            continue
        with pytest.raises(ValidationError):
            valid.validate({name: value for name, value in line.items() if name != key})
    with pytest.raises(ValidationError):
        valid.validate({**line, "user_id": "u001"})
    with pytest.raises(ValidationError):
        valid.validate(json.loads(json.dumps(line).replace('"u"', '""')))
    with pytest.raises(ValidationError):
        valid.validate(json.loads(json.dumps(line).replace('"user"', '"person"')))


@pytest.mark.parametrize(("provider", "kind", "found"), ALL)
def test_exported_files_are_valid_and_hold_demonstrations_where_wanted(
    provider: str, kind: str, found: Format, tmp_path: Path
) -> None:
    everyone = users()
    shown = Candidate(demonstrations=(Demonstration("- a text", "Be brief."),))
    program = program_of(everyone, shown)
    valid = validator(found)
    for with_demonstrations in (False, not found.one_turn):
        plan = plan_in(
            tmp_path, kind=kind, provider=provider, with_demonstrations=with_demonstrations
        )
        done = export(program, everyone, plan, door_of(FakeModel(reply)))
        assert done.validation is not None
        assert done.fewest == found.fewest
        for path, part in ((plan.output, done.train), (plan.validation, done.validation)):
            assert path is not None
            written = path.read_text("utf-8").splitlines()
            assert len(written) == part.examples > 0
            for line in written:
                valid.validate(json.loads(line))
                assert ("- a text" in line) is with_demonstrations


def test_formats_differ_where_providers_do() -> None:
    example = Example((Message("system", "s"), Message("user", "u")), "a", "b")
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    outputs: dict[str, object] = {
        "preferred_output": [{"role": "assistant", "content": "a"}],
        "non_preferred_output": [{"role": "assistant", "content": "b"}],
    }

    def record(provider: str, kind: str) -> object:
        return FORMATS[provider][kind].record(example)

    whole = {"messages": [*prompt, {"role": "assistant", "content": "a"}]}
    for provider in ("openai", "together", "fireworks"):
        assert record(provider, "sft") == whole
    tools: dict[str, object] = {"tools": [], "parallel_tool_calls": True}
    assert record("openai", "preference") == {
        "input": {**tools, "messages": prompt},
        **outputs,
    }
    assert record("together", "preference") == {"input": {"messages": prompt}, **outputs}
    assert record("fireworks", "preference") == {
        "input": {"messages": prompt, "tools": []},
        **outputs,
    }
    assert record("trl", "preference") == {
        "prompt": prompt,
        "chosen": outputs["preferred_output"],
        "rejected": outputs["non_preferred_output"],
    }
    assert record("vertex", "preference") == {
        "system_instruction": {"parts": [{"text": "s"}]},
        "contents": [{"role": "user", "parts": [{"text": "u"}]}],
        "completions": [
            {"score": 1, "completion": {"role": "model", "parts": [{"text": "a"}]}},
            {"score": 0, "completion": {"role": "model", "parts": [{"text": "b"}]}},
        ],
    }
