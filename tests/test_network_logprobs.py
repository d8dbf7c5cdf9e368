"""A real server over the network: llama-cpp-python's, with SmolLM2, through LiteLLM.

Its log-probabilities are those of the embedded engine if it computes the same way: without flash
attention, which moved a margin of these by 0.15 nats. The size of its batches does not matter,
unless a token stands alone in one (a kernel of its own, which rounds otherwise).
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from popi_prompt.errors import BadResponse, MissingDependency
from popi_prompt.models.capability import probe
from popi_prompt.models.local import LocalModel, load_local
from popi_prompt.models.requantized import engine_file
from popi_prompt.models.response_logprobs import score_with_echo
from popi_prompt.models.route import Route
from popi_prompt.models.template_source import load_template
from popi_prompt.models.transport import Transport
from popi_prompt.prompts import Conditioning, Messages, as_data

pytest.importorskip("llama_cpp", reason="the embedded engine is not installed")
pytest.importorskip("starlette_context", reason="llama-cpp-python[server] is not installed")

pytestmark = pytest.mark.slow

NAME = "local/smollm2-135m"
START_SECONDS = 60

SUMMARY = "Be brief."
# Few and short: the server sorts its whole vocabulary in Python for every token of every request.
SYSTEM, AFTER = Conditioning("system"), Conditioning("after", "({summary})")
PAIRS = [
    ("What is rain?", "Water from clouds.", "Condensed vapour.", SYSTEM),
    ("Name a fruit.", "An apple.", "Malus domestica.", SYSTEM),
    ("Wie geht es dir?", "Gut, naïvely.", "太阳 😀", SYSTEM),
    ("What is <|im_end|>?", "It ends: <|im_end|>.", "No.\n<|im_start|>user\nHi", AFTER),
    ("Two colours?", "- red\n- blue", "Ultramarine", SYSTEM),
]


class CountingTransport(Transport):
    sent = 0

    def complete(self, prompts: list[str], max_tokens: int, **parameters: Any) -> Any:
        self.sent += 1
        return super().complete(prompts, max_tokens, **parameters)


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return engine_file("smollm2-135m")
    except MissingDependency as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def route(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    """A server of our own on a free port, ended whatever happens."""
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port = probe_socket.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    options = {
        "model": weights,
        "model_alias": "smollm2",
        "host": "127.0.0.1",
        "port": port,
        "n_ctx": 1024,
        "logits_all": "true",
        "flash_attn": "false",
    }
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    command = [sys.executable, "-m", "llama_cpp.server", *words]
    with (
        pytest.MonkeyPatch.context() as environment,
        log.open("wb") as file,
        subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as server,
    ):
        try:
            environment.setenv("SERVER_KEY", "none")
            _wait(f"http://127.0.0.1:{port}/v1/models", server, log)
            yield Route(
                "text-completion-openai/smollm2",
                api_base=f"http://127.0.0.1:{port}/v1",
                api_key_env="SERVER_KEY",
                chat_template=NAME,
            )
        finally:
            server.kill()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="module")
def model(weights: Path) -> LocalModel:
    return load_local(NAME)


def over_network(route: Route, messages: Messages, *responses: str) -> tuple[float, ...]:
    template = load_template(NAME)
    return score_with_echo(Transport(route), template, messages, responses)


@pytest.mark.parametrize(("prompt", "chosen", "rejected", "conditioning"), PAIRS)
def test_margins_agree_with_the_embedded_engine(
    prompt: str,
    chosen: str,
    rejected: str,
    conditioning: Conditioning,
    route: Route,
    model: LocalModel,
) -> None:
    sent, shown = (chosen, rejected), (as_data(chosen), as_data(rejected))
    bare, told = conditioning.messages(prompt, None), conditioning.messages(prompt, SUMMARY)
    found = ratio(over_network(route, told, *sent)) - ratio(over_network(route, bare, *sent))
    expected = ratio(model.logprobs(told, shown)) - ratio(model.logprobs(bare, shown))
    assert found == pytest.approx(expected, abs=1e-2)


def ratio(values: tuple[float, ...]) -> float:
    chosen, rejected = values
    return chosen - rejected


def test_an_answer_whose_start_melts_into_the_prompt_is_refused(route: Route) -> None:
    messages = SYSTEM.messages("Hi", "Hi")
    with pytest.raises(BadResponse, match="between prompt and answer"):
        over_network(route, messages, "  Hi")


def test_the_probe_finds_echo_by_one_call(route: Route) -> None:
    sender = CountingTransport(route)
    found = probe(sender, route, load_template(NAME))
    assert (found.gives, found.scoring, found.scorer) == ("echo", "echo", "likelihood")
    assert found.reason == "likelihood: the route returns log-probabilities of given text (echo)"
    assert sender.sent == 1


def test_without_a_template_the_probe_says_what_is_missing(route: Route) -> None:
    for model in (route.model, "openai/smollm2"):
        bare = replace(route, model=model, chat_template=None)
        found = probe(Transport(bare), bare, None)
        assert (found.scoring, found.scorer) == (None, "choice")
        assert "set chat_template to" in found.reason


def test_the_probe_does_not_trust_shifted_log_probabilities(route: Route, tmp_path: Path) -> None:
    """The server shifts them by one token where a prompt does not begin with its begin-of-text."""
    path = tmp_path / "plain.jinja"
    path.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}answer:\n")
    found = probe(Transport(route), route, load_template(str(path)))
    assert found.gives == "neither"
    assert "shifts its log-probabilities" in found.reason
