"""The config file: what it may say, one clear line for what it may not, and never a key in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popi_prompt.errors import UsageError
from popi_prompt.models.access import Access
from popi_prompt.models.config import RoleConfig, load_config
from popi_prompt.models.route import Route

KEY = "sk-planted-0123456789abcdefghij"
FULL = """
[models.generator]
model = "openai/mine"
api_base = "http://127.0.0.1:8000/v1"
api_key_env = "MY_API_KEY"
temperature = 0.3
max_tokens = 200
rpm = 60
tpm = 10000
headers = { X-Team = "taste", X-Area = "eu" }
timeout = 20
concurrency = 4
chat_template = "chatml"
scoring = "echo"
price_in = 0.5
price_out = 1
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_field_of_a_route_can_be_configured(tmp_path: Path) -> None:
    route = load_config(written(tmp_path, FULL))["generator"].route("openai/mine")
    assert route == Route(
        "openai/mine",
        api_base="http://127.0.0.1:8000/v1",
        api_key_env="MY_API_KEY",
        temperature=0.3,
        max_tokens=200,
        rpm=60,
        tpm=10000,
        headers=(("X-Area", "eu"), ("X-Team", "taste")),
        timeout=20,
        concurrency=4,
        chat_template="chatml",
        scoring="echo",
        price_in=0.5,
        price_out=1,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = ", "is not valid TOML"),
        ("[modles.generator]", "unknown table 'modles'; did you mean 'models'"),
        ("models = 3", "'models' is not a table"),
        ("[models.genrator]", "unknown role [models.genrator]; did you mean 'generator'"),
        ("[models.x]", "known: generator, inference, proposer, judge"),
        ("models.judge = 3", "[models.judge] is not a table"),
        ('[models.judge]\napi_bse = "x"', "[models.judge] has unknown key 'api_bse'; did you"),
        ("[models.judge]\ntemperature = -1", "temperature is not a number of 0 or more"),
        ("[models.judge]\ntemperature = nan", "temperature is not"),
        ("[models.judge]\nrpm = 1.5", "rpm is not a whole number above 0"),
        ("[models.judge]\nrpm = true", "rpm is not a whole number above 0"),
        ("[models.judge]\ntimeout = 0", "timeout is not a number above 0"),
        ('[models.judge]\nmodel = " "', "model is not a text that is not empty"),
        ('[models.judge]\nscoring = "guess"', "scoring is not one of echo, prompt_logprobs"),
        ("[models.judge]\nheaders = { A = 1 }", "headers is not a table of texts"),
        ("[models.judge]\nprice_in = 1", "one of price_in and price_out; give both"),
        ('[models.judge]\napi_base = "localhost:8000"', "api_base is not an address such as"),
        ('[models.judge]\napi_base = "http://[x"', "api_base is not an address such as"),
    ],
)
def test_what_cannot_work_is_one_line_with_file_and_key(
    tmp_path: Path, text: str, says: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{KEY}"',
        f'API_KEY = "{KEY}"',
        f'key = "{KEY}"',
        f'api_token = "{KEY}"',
        f'api_key_env = "{KEY}"',
        f'model = "{KEY}"',
        f'headers = {{ Authorization = "Bearer {KEY}" }}',
        f'headers = {{ X-Api-Key = "{KEY}" }}',
        f'headers = {{ X-Team = "{KEY}" }}',
        f'api_base = "http://me:{KEY}@host/v1"',
        f'api_base = "http://host/v1?key={KEY}"',
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match="from the environment only|holds a key") as caught:
        load_config(written(tmp_path, f"[models.generator]\n{line}\n"))
    assert KEY not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_a_config_or_a_usage_error(tmp_path_factory: object, text: str) -> None:
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    path = tmp_path_factory.mktemp("config") / "models.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_config(path)
    except UsageError as error:
        assert str(path) in str(error)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_config(tmp_path / "none.toml")


def test_settings_belong_to_the_model_beside_them() -> None:
    about_one = RoleConfig("openai/a", {"rpm": 5})
    assert about_one.route("openai/a").rpm == 5
    assert about_one.route("openai/b") == Route("openai/b")
    assert RoleConfig(None, {"rpm": 5}).route("openai/b").rpm == 5


def test_the_option_goes_before_the_file_and_the_file_before_the_default() -> None:
    access = Access({"generator": RoleConfig("openai/file"), "judge": RoleConfig()})
    assert access.name("generator", "openai/option", "openai/default") == "openai/option"
    assert access.name("generator", None, "openai/default") == "openai/file"
    assert access.name("judge", None, "openai/default") == "openai/default"
    assert access.name("proposer", None, "openai/default") == "openai/default"


def test_a_role_without_a_section_is_reached_like_its_stand_in() -> None:
    access = Access({"inference": RoleConfig(None, {"api_base": "http://127.0.0.1:1/v1"})})
    routes = access.routes({"inference": "openai/a", "proposer": "openai/a", "judge": "openai/a"})
    assert routes["proposer"] == routes["inference"]
    assert routes["judge"] == Route("openai/a")
    other = access.routes({"inference": "openai/a", "proposer": "openai/b"})
    assert other["proposer"] == Route("openai/b")


def test_scorers_ask_the_generators_model_unless_another_is_named() -> None:
    access = Access()
    local, hosted = "local/smollm2-135m", "openai/gpt-4o-mini"
    assert access.scoring_names(local) == {"judge": local, "embedding": local}
    assert access.scoring_names(hosted) == {"judge": hosted}
    named = access.scoring_names(hosted, judge="openai/j", embedding="openai/e")
    assert named == {"judge": "openai/j", "embedding": "openai/e"}
    filed = Access({"judge": RoleConfig("openai/j"), "embedding": RoleConfig("openai/e")})
    assert filed.scoring_names(local) == named
    assert filed.scoring_names(local, judge="openai/k")["judge"] == "openai/k"


def test_an_embedding_model_has_a_section_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[models.embedding]\nmodel = "openai/e"\nrpm = 5\n')
    access = Access(load_config(path))
    names = access.scoring_names("openai/g")
    assert access.routes(names)["embedding"] == Route("openai/e", rpm=5)
