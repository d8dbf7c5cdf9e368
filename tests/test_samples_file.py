"""The file of samples: what is written is found again, and damage is named."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from full_disk import room
from hypothesis import given, settings
from hypothesis import strategies as st

from popi_prompt.errors import DataError, UsageError, WriteError
from popi_prompt.finetune.samples import Drawn, Missed, Recipe, Sample, user_key
from popi_prompt.finetune.samples_file import SamplesFile
from popi_prompt.schema import Pair, Persona, User

RECIPE = Recipe("p", {"inference": "fake/i", "generator": "fake/g"}, "likelihood", "popi", 0.8, 0)
DRAWN = Drawn(
    "u1", "k", (Sample(0, "Be brief.\u2028\u4f60", -0.1, 1.5),), (Missed(1, "BadResponse", "no"),)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


def test_what_is_put_is_got_also_after_closing(path: Path) -> None:
    with SamplesFile(path, RECIPE) as store:
        store.put(DRAWN)
        assert store.get("u1", "k") == DRAWN
    with SamplesFile(path, RECIPE) as store:
        assert store.get("u1", "k") == DRAWN
        assert store.get("u1", "other").numbers() == frozenset()
        assert store.get("u2", "k") == Drawn("u2", "k")


def test_a_full_disk_is_told_and_what_fits_is_kept(path: Path) -> None:
    with SamplesFile(path, RECIPE) as store:
        store.put(DRAWN)
        with room(2048), pytest.raises(WriteError, match=r"samples\.jsonl': file too large"):
            store.put(replace(DRAWN, user_id="u2" * 2000))
        store.put(replace(DRAWN, user_id="u3"))
        assert store.get("u3", "k").samples == DRAWN.samples
    with SamplesFile(path, RECIPE) as store:
        assert store.get("u1", "k") == DRAWN
        assert store.get("u3", "k").samples == DRAWN.samples


def test_the_last_line_of_a_user_counts(path: Path) -> None:
    longer = replace(DRAWN, samples=(*DRAWN.samples, Sample(2, "x", 0.0, 0.0)))
    with SamplesFile(path, RECIPE) as store:
        store.put(DRAWN)
        store.put(longer)
        assert store.get("u1", "k") == longer
    with SamplesFile(path, RECIPE) as store:
        assert store.get("u1", "k") == longer


def test_a_line_that_a_crash_cut_off_is_removed_wherever_the_cut(path: Path) -> None:
    with SamplesFile(path, RECIPE) as store:
        store.put(DRAWN)
        whole = path.read_bytes()
        store.put(replace(DRAWN, user_id="u2"))
    after = path.read_bytes()
    for cut in range(len(whole), len(after)):
        path.write_bytes(after[:cut])
        with SamplesFile(path, RECIPE) as store:
            assert store.get("u1", "k") == DRAWN
            assert store.get("u2", "k").numbers() == frozenset()
            store.put(replace(DRAWN, user_id="u2"))
        assert path.read_bytes() == after


def test_a_header_that_a_crash_cut_off_is_written_again(path: Path) -> None:
    with SamplesFile(path, RECIPE) as store:
        store.put(DRAWN)
    header = path.read_bytes().split(b"\n")[0]
    path.write_bytes(header[:10])
    with SamplesFile(path, RECIPE) as store:
        assert store.get("u1", "k").numbers() == frozenset()
    assert path.read_bytes() == header + b"\n"


def test_many_threads_write_whole_lines(path: Path) -> None:
    everyone = [replace(DRAWN, user_id=f"u{n}") for n in range(200)]
    with SamplesFile(path, RECIPE) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, everyone))
    with SamplesFile(path, RECIPE) as store:
        assert [store.get(each.user_id, "k") for each in everyone] == everyone


def test_one_at_a_time_works_on_a_file(path: Path) -> None:
    link = path.with_name("link.jsonl")
    link.symlink_to(path)
    with SamplesFile(path, RECIPE) as store:
        store.put(DRAWN)
        for same in (path, link):
            with pytest.raises(UsageError, match=r"another process works .*--samples"):
                SamplesFile(same, RECIPE)
        assert store.get("u1", "k") == DRAWN
    for _ in range(2):  # one that is refused for its recipe lets go of the file, too
        with pytest.raises(UsageError, match="sampled with seed"):
            SamplesFile(path, replace(RECIPE, seed=1))
    with SamplesFile(link, RECIPE) as store:
        assert store.get("u1", "k") == DRAWN


def test_a_lock_that_cannot_be_had_is_a_clear_error(path: Path) -> None:
    path.with_name(f".{path.name}.lock").mkdir()
    with pytest.raises(UsageError, match="cannot work in the file of samples"):
        SamplesFile(path, RECIPE)


def test_where_recipes_differ_is_named_and_short(path: Path) -> None:
    told = {"model": "fake/i", "chat_template": "{{ x }}" * 1000}
    with SamplesFile(path, RECIPE):
        pass
    with pytest.raises(UsageError, match=r"models\.inference 'fake/i', this export") as caught:
        SamplesFile(path, replace(RECIPE, models={**RECIPE.models, "inference": told}))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"program": "q"}, "program 'p', this export has 'q'"),
        ({"models": {"inference": "fake/x", "generator": "fake/g"}}, "sampled with models"),
        ({"scorer": "choice"}, "scorer 'likelihood', this export has 'choice'"),
        ({"reward": "margin"}, "reward 'popi'"),
        ({"temperature": 0.5}, "temperature 0.8"),
        ({"seed": 1}, "seed 0"),
    ],
)
def test_another_recipe_is_refused(path: Path, change: dict[str, object], says: str) -> None:
    with SamplesFile(path, RECIPE):
        pass
    with pytest.raises(UsageError, match=says):
        SamplesFile(path, replace(RECIPE, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("{}\n", 1, "does not name"),
        ('["no"]\n', 1, "does not name"),
        ("no\n", 1, "is not valid JSON"),
        ("\udcff\n", 1, "is not valid UTF-8"),
        ("HEAD\n{}\n", 2, "holds no samples of a user"),
        ("HEAD\n[]\n", 2, "holds no samples of a user"),
        ('HEAD\n{"user_id": "u", "key": "k", "samples": [{}], "missed": []}\n', 2, "number"),
        ('HEAD\n{"user_id": "u", "key": "k", "samples": 3, "missed": []}\n', 2, "no samples"),
        ('HEAD\n{"user_id"\n{"key": "k"}\n', 2, "is not valid JSON"),
    ],
)
def test_damage_is_named_with_its_line(path: Path, content: str, line: int, says: str) -> None:
    with SamplesFile(path, RECIPE):
        header = path.read_text("utf-8").strip()
    path.write_bytes(content.replace("HEAD", header).encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    with pytest.raises(DataError, match=says) as caught:
        SamplesFile(path, RECIPE)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert path.read_bytes() == before


@given(
    st.lists(
        st.builds(
            Sample,
            st.integers(0, 9),
            st.text(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=3,
    )
)
@settings(deadline=None)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, found: list[Sample]) -> None:
    path = tmp_path_factory.mktemp("samples") / "s.jsonl"
    drawn = Drawn("\u2028\ud800", "k", tuple(found))
    with SamplesFile(path, RECIPE) as store:
        store.put(drawn)
    assert all(json.loads(line) for line in path.read_bytes().splitlines())
    with SamplesFile(path, RECIPE) as store:
        assert store.get(drawn.user_id, "k") == drawn


def test_the_key_is_of_signals_and_pairs() -> None:
    one = User("a", (Persona("x"),), (Pair("p", "c", "r"),))
    assert user_key(one) == user_key(replace(one, user_id="b"))
    assert user_key(one) != user_key(replace(one, signals=(Persona("y"),)))
    assert user_key(one) != user_key(replace(one, pairs=(Pair("p", "c", "r", 2.0),)))
