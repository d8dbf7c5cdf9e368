"""Under which key an answer is kept: by all that decides it, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from popi_prompt.models.access import Access
from popi_prompt.models.books import Question
from popi_prompt.models.call import Kind
from popi_prompt.models.dry_model import DryHosted, Speed
from popi_prompt.models.litellm_model import LiteLLMModel
from popi_prompt.models.model import Sampling
from popi_prompt.models.place import place_of
from popi_prompt.models.request import Request
from popi_prompt.models.route import Route
from popi_prompt.prompts import Message
from popi_prompt.stub_server import StubServer

RAIN = (Message("user", "What is rain?"),)
GIVEN = ("Water.", "Rain.")
REQUESTS: dict[Kind, Request] = {
    "chat": Request("chat", RAIN, Sampling(32)),
    "odds": Request("odds", RAIN, given=("A", "B")),
    "logprobs": Request("logprobs", RAIN, given=GIVEN),
    "probe": Request("probe", ()),
}
VLLM = Route("hosted_vllm/x", api_base="http://127.0.0.1:8000/v1")
TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
TEMPLATED: tuple[Kind, ...] = ("logprobs", "probe")

pytestmark = pytest.mark.usefixtures("in_a_hurry")


def keys(route: Route) -> dict[Kind, str]:
    """Of one request of each kind, to a model that is opened anew."""
    model = LiteLLMModel(route)
    return {
        kind: Question("generator", route, model, request).key()
        for kind, request in REQUESTS.items()
    }


def test_keys_of_answers_that_are_on_disk_do_not_change() -> None:
    local, hosted = Route("local/smollm2-135m"), Route("openai/gpt-4o-mini")
    given = Request("logprobs", RAIN, given=("a", "b"))
    odds = Request("odds", RAIN, given=("a", "b"))
    scored = replace(VLLM, scoring="prompt_logprobs")
    assert [
        REQUESTS["chat"].key(local, "weights 1.0"),
        given.key(local, "weights 1.0"),
        odds.key(hosted, None),
        given.key(scored, None),
        REQUESTS["probe"].key(hosted, None),
    ] == [
        "0e4f091f83413e72df11b920a2fd4304542108e2e04772266474be726169c3a9",
        "edcde5aedf6b46eef3989220331ef9c89f72853600e52756890dc1233b29f91d",
        "cfbd5765998e85e8e7cda8e5287b9c7e1d7ae0faf81491abec269cef0d02a152",
        "87040a841e05636ee720e1e727d4783a634b4499156c3efe737788a27206c629",
        "2960a88bae90200fb20cee4f514ab17131cc77de484a75919bb4438dcc1a6cd2",
    ]


# addresses of the environment


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("OPENAI_BASE_URL", "openai/stub"),
        ("OPENAI_API_BASE", "openai/stub"),
        ("HOSTED_VLLM_API_BASE", "hosted_vllm/stub"),
    ],
)
def test_a_server_that_the_environment_names_answers_for_itself(
    monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    for other in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(other, raising=False)
    with StubServer(reply={"content": "one"}) as one, StubServer(reply={"content": "two"}) as two:
        for server, says in ((one, "one"), (two, "two"), (one, "one")):
            monkeypatch.setenv(variable, server.api_base)
            with Access(cache=True).door({"generator": name}) as door:
                assert door.chat("generator", RAIN, Sampling(32)).text == says
                door.capability("generator")
    assert len(one.log) == len(two.log) > 1


@pytest.mark.parametrize(
    ("route", "provider", "variables"),
    [
        (Route("azure/mine"), "azure", {"AZURE_API_BASE": "https://me.example"}),
        (
            Route("azure/mine", api_base="https://me.example"),
            "azure",
            {"AZURE_API_VERSION": "2025-01-01"},
        ),
        (Route("vertex_ai/gemini"), "vertex_ai", {"VERTEXAI_PROJECT": "p"}),
        (Route("vertex_ai/gemini"), "vertex_ai", {"VERTEXAI_LOCATION": "europe-west4"}),
        (Route("bedrock/x"), "bedrock", {"AWS_REGION_NAME": "eu-west-1"}),
        (Route("anthropic/claude"), "anthropic", {"ANTHROPIC_BASE_URL": "https://me.example"}),
        (Route("huggingface/x"), "huggingface", {"HF_API_BASE": "https://me.example"}),
        (
            Route("text-completion-openai/x"),
            "text-completion-openai",
            {"OPENAI_API_BASE": "https://me.example"},
        ),
    ],
)
def test_what_of_the_environment_leads_a_route_is_told(
    route: Route, provider: str, variables: dict[str, str]
) -> None:
    told = place_of(route, provider, None, variables)
    assert told is not None
    assert all(value in told for value in variables.values())
    assert place_of(route, provider, None, {}) is None


@pytest.mark.parametrize(
    "variables",
    [
        {"OPENAI_API_KEY": "sk-0123", "OPENAI_PROJECT": "who pays", "OPENAI_LOG": "debug"},
        {"ANTHROPIC_BASE_URL": "https://me.example", "HOME": "/home/me"},
        {"OPENAI_BASE_URL": ""},
    ],
)
def test_what_leads_nowhere_is_not_told(variables: dict[str, str]) -> None:
    assert place_of(Route("openai/gpt-4o-mini"), "openai", None, variables) is None


def test_a_routes_own_address_goes_before_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    route = Route("openai/stub", api_base="http://127.0.0.1:8000/v1")
    before = keys(route)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9000/v1")
    assert keys(route) == before


def test_an_address_under_an_unknown_name_is_found_by_its_value() -> None:
    route = Route("friendliai/x")
    told = place_of(route, "friendliai", "https://me.example", {"MINE": "https://me.example"})
    assert told is not None
    assert place_of(route, "friendliai", "https://api.friendli.ai", {"MINE": "other"}) is None


# chat templates


def test_a_chat_template_is_known_by_what_it_holds(tmp_path: Path) -> None:
    paths = [tmp_path / "one.jinja", tmp_path / "two.jinja"]
    for path in paths:
        path.write_text(TEMPLATE)
    first, moved = (keys(replace(VLLM, chat_template=str(path))) for path in paths)
    assert first == moved
    paths[0].write_text(TEMPLATE.replace("[", "<"))
    edited = keys(replace(VLLM, chat_template=str(paths[0])))
    assert [kind for kind in edited if edited[kind] != first[kind]] == list(TEMPLATED)


def test_how_responses_are_scored_is_nothing_to_chats_and_odds(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text(TEMPLATE)
    bare = keys(VLLM)
    for route in (replace(VLLM, chat_template=str(path)), replace(VLLM, scoring="echo")):
        found = keys(route)
        assert [kind for kind in found if found[kind] != bare[kind]] == list(TEMPLATED)


def test_an_estimate_looks_under_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text(TEMPLATE)
    monkeypatch.setenv("HOSTED_VLLM_API_BASE", "http://127.0.0.1:9000/v1")
    route = Route("hosted_vllm/x", chat_template=str(path))
    real = LiteLLMModel(route)
    for request in REQUESTS.values():
        wanted = Question("generator", route, real, request).key()
        assert Question("generator", route, DryHosted(real, Speed()), request).key() == wanted
