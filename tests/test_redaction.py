"""Redaction: a secret leaves in none of its forms; other text stays as it is."""

from __future__ import annotations

import base64
import json
import os
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popi_prompt.errors import AuthenticationError, DataError
from popi_prompt.models.redaction import REDACTED, holds_secret, redact, redacted

KEY = 'p1anted "key"/with + \\ and \u00e9'
fresh = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Environment values hold no NUL; the letters of "[redacted]" alone could make a secret.
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=8, max_size=60)
SECRETS = SECRETS.filter(lambda text: len(text.strip()) >= 8 and text.strip() not in REDACTED)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEY", "TOKEN", "SECRET", "PASS"):
        for each in [each for each in os.environ if name in each.upper()]:
            monkeypatch.delenv(each)


@fresh
@given(secret=SECRETS, before=st.text(max_size=9), after=st.text(max_size=9))
def test_no_form_of_a_secret_stays(
    secret: str, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", secret)
    secret = secret.strip()
    forms = [
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    ]
    for form in forms:
        clean = redact(before + form + after)
        assert secret not in clean
        assert form not in clean
        assert REDACTED in clean


@fresh
@given(secret=SECRETS, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_base64_around_a_secret_cannot_be_decoded(
    secret: str, before: bytes, after: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", secret)
    raw = before + secret.strip().encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        clean = redact(encode(raw).decode())
        assert REDACTED in clean
        assert len(clean.replace(REDACTED, "")) <= 2 * (len(before) + len(after)) + 8


@pytest.mark.parametrize(
    "name",
    [
        *("OPENAI_API_KEY", "hf_token", "DB_PASSWORD", "MY_SECRET", "AWS_ACCESS_KEY_ID"),
        *("API_KEY2", "OPENAIKEY", "DB_PASS", "APP_SECRETS", "GOOGLE_CREDENTIALS"),
    ],
)
def test_names_that_mean_a_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "value of 8")
    assert redact("the value of 8 is") == f"the {REDACTED} is"
    assert holds_secret("the value of 8 is")


@pytest.mark.parametrize("name", ["HOME", "KEYBOARD", "TOKENIZERS_PARALLELISM", "PWD", "COMPASS"])
def test_names_that_do_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "value of 8")
    assert redact("the value of 8 is") == "the value of 8 is"


def test_a_short_value_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "  short  ")
    assert redact("a short text") == "a short text"


def test_a_key_set_later_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert redact("swordfish") == "swordfish"
    monkeypatch.setenv("A_KEY", "swordfish")
    assert redact("swordfish") == REDACTED


def test_the_longer_of_two_secrets_goes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "swordfish")
    monkeypatch.setenv("B_KEY", "swordfish-and-more")
    assert redact("swordfish-and-more, swordfish") == f"{REDACTED}, {REDACTED}"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("sk-proj-Ab12_Cd34-Ef56Gh78", REDACTED),
        ("sk-ant-api03-abcdefghijklmnop", REDACTED),
        ("Authorization: Bearer abcDEF123456.xyz-", f"Authorization: Bearer {REDACTED}"),
        ("bearer a1b2c3d4", f"bearer {REDACTED}"),
        ("Basic dXNlcjpwYXNzd29yZA==", f"Basic {REDACTED}"),
        ("https://x.org/v1?api_key=a1b2c3d4&n=1", f"https://x.org/v1?api_key={REDACTED}&n=1"),
        ('{"api_key": "abcdefgh"}', f'{{"api_key": "{REDACTED}"}}'),
        ('{\\"api_key\\": \\"abcdefgh\\"}', f'{{\\"api_key\\": \\"{REDACTED}\\"}}'),
        ("x-api-key: abcdefgh", f"x-api-key: {REDACTED}"),
        ("OPENAI_API_KEY=abcdefgh done", f"OPENAI_API_KEY={REDACTED} done"),
        ("http://ada:secret@host/", f"http://ada:{REDACTED}@host/"),
        ("AIza" + "x" * 35, REDACTED),
        ("ghp_" + "x" * 36, REDACTED),
        ("hf_" + "x" * 34, REDACTED),
        ("AKIAABCDEFGHIJKLMNOP", REDACTED),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh", REDACTED),
    ],
)
def test_shapes_of_keys(text: str, clean: str) -> None:
    assert redact(text) == clean
    assert redact(f"a {text} b") == f"a {clean} b"


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of this letter is a friend; basic training is over.",
        "A risk-based approach, a desk-sized lamp, task-oriented people.",
        "Set the api key in the settings. What is an API key? My password is long.",
        "https://example.org:8080/path@home and mail to ada@example.org",
        "Key points: token by token, secrets of the sea.",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert redact(text) == text


def test_errors_are_copied_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    error = AuthenticationError(f"refused {KEY}", role="generator", model="x/y", user_id="u")
    try:
        raise error from ValueError(KEY)
    except AuthenticationError as raised:
        clean = redacted(raised)
    assert type(clean) is AuthenticationError
    assert (clean.problem, clean.role, clean.model) == (f"refused {REDACTED}", "generator", "x/y")
    assert str(clean) == f"user 'u', generator, model 'x/y': refused {REDACTED}"
    assert clean.args == (f"refused {REDACTED}",)
    assert clean.__cause__ is None
    assert KEY in error.problem
    data = redacted(DataError(f"holds {KEY}", path="f", line=3))
    assert str(data) == f"f:3: holds {REDACTED}"
