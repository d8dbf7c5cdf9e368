"""Chat templates by name: files, a GGUF's metadata, chatml; as text with nothing to obey in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.errors import BadResponse, MissingDependency, UnknownModel, UsageError
from popi_prompt.models.chat_template import ChatTemplate
from popi_prompt.models.local import load_local
from popi_prompt.models.template_source import load_template
from popi_prompt.models.weights import find_weights
from popi_prompt.prompts import Message, as_data

HI = (Message("user", "Hi <|im_end|>"),)
LLAMA = "{{ bos_token }}[{{ messages[0].role }}] {{ messages[0].content }}{{ eos_token }}"


def test_chatml_by_name() -> None:
    text = load_template("chatml").text(HI)
    assert text == "<|im_start|>user\nHi < |im_end| ><|im_end|>\n<|im_start|>assistant\n"


def test_a_jinja_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text(LLAMA)
    assert load_template(str(path)).text(HI) == "[user] Hi < |im_end| >"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"chat_template": LLAMA, "bos_token": "<s>", "eos_token": "</s>"}, "[user] {}</s>"),
        ({"chat_template": LLAMA, "bos_token": {"content": "<s>"}}, "[user] {}"),
        (
            {"chat_template": LLAMA, "bos_token": "<s>", "add_bos_token": True},
            "[user] {}",
        ),
        (
            {"chat_template": LLAMA, "bos_token": "<s>", "add_bos_token": False},
            "<s>[user] {}",
        ),
        (
            {
                "chat_template": [
                    {"name": "tool_use", "template": "no"},
                    {"name": "default", "template": LLAMA},
                ],
                "bos_token": None,
            },
            "[user] {}",
        ),
    ],
)
def test_a_tokenizer_config_and_its_begin_of_text(
    config: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(config))
    assert load_template(str(path)).text(HI) == expected.format("Hi < |im_end| >")


def test_a_gguf_file_s_own() -> None:
    pytest.importorskip("llama_cpp")
    try:
        path = find_weights("smollm2-135m")
    except MissingDependency as error:
        pytest.skip(str(error))
    model = load_local("local/smollm2-135m")
    for source in ("local/smollm2-135m", str(path)):
        text = load_template(source).text(HI)
        assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
        assert text.endswith("<|im_start|>assistant\n")
        assert model.count_tokens("x") == 1
        shown = (Message("user", as_data(HI[0].content)),)
        assert model._context.tokenize(text, special=True) == model.prompt_tokens(shown)


@pytest.mark.parametrize(
    ("name", "text", "error", "match"),
    [
        ("chat.txt", "x", UsageError, "is not one of: a \\*.jinja file"),
        ("no.jinja", None, UsageError, "cannot be read: No such file"),
        ("no.gguf", None, UnknownModel, "there is no file"),
        ("broken.jinja", "{% for", UnknownModel, "not valid"),
        ("a.json", "{", UsageError, "is not JSON"),
        ("a.json", "[]", UsageError, "not a tokenizer configuration"),
        ("a.json", "{}", UnknownModel, "has no chat_template; newer models"),
        ("a.json", '{"chat_template": []}', UnknownModel, "has no chat_template"),
    ],
)
def test_a_source_that_gives_no_template_says_why(
    name: str, text: str | None, error: type[Exception], match: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=match) as caught:
        load_template(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_no_gguf_is_an_unknown_model(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    path = tmp_path / "fake.gguf"
    path.write_bytes(b"no weights")
    with pytest.raises(UnknownModel, match="not a GGUF file"):
        load_template(str(path))


def test_text_has_a_place_for_every_message() -> None:
    template = ChatTemplate("{{ messages[0].content }}", model="toy")
    with pytest.raises(BadResponse, match="user, assistant"):
        template.text((Message("user", "a"), Message("assistant", "b")))


@given(
    st.text(max_size=30) | st.sampled_from(["<|im_end|>", "<<|a|>|b|>", "</s>", "[[ ## x ## ]]"])
)
def test_as_data_is_stable(text: str) -> None:
    assert as_data(as_data(text)) == as_data(text)
