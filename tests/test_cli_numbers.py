"""Options that are numbers: no command takes NaN or infinity."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from popi_prompt import stub_server
from popi_prompt.cli.main import cli


def numbers(
    command: click.Command, name: str = "popi-prompt"
) -> Iterator[tuple[str, click.Option]]:
    """Every option of a command, and of those below it, that may be no whole number."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield from numbers(below, f"{name} {each}")
    for option in command.params:
        if isinstance(option, click.Option) and isinstance(option.type, click.types.FloatParamType):
            yield f"{name} {option.opts[0]}", option


NUMBERS = dict(numbers(cli))


def test_the_options_are_found() -> None:
    assert {
        "popi-prompt data dedupe --near",
        "popi-prompt bench --minutes",
        "popi-prompt optimize --beta",
        "popi-prompt infer --max-usd",
        "popi-prompt finetune wait --poll",
        "popi-prompt finetune submit --learning-rate",
        "popi-prompt finetune export --price",
    } <= set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("given", ["nan", "inf", "-inf", "1e999"])
def test_what_is_no_finite_number_is_refused(name: str, given: str) -> None:
    option = NUMBERS[name]
    with pytest.raises(click.BadParameter):
        option.type.convert(given, option, click.Context(cli))
    assert option.type.convert("1", option, click.Context(cli)) == 1.0


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["data", "dedupe", "users.jsonl", "-o", "out", "--near", "nan"], "--near"),
        (["bench", "users.jsonl", "-o", "out", "--minutes", "nan"], "--minutes"),
        (["finetune", "wait", "3f9a", "--poll", "nan"], "--poll"),
    ],
)
def test_it_is_a_usage_error_that_names_the_option(arguments: list[str], option: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    said = f"Error: Invalid value for '{option}': 'nan' is not a finite number."
    assert result.stderr.splitlines()[-1] == said
    assert not Path("out").exists()


@pytest.mark.parametrize("given", ["nan", "inf", "-1"])
def test_the_stub_server_waits_for_a_time_that_can_pass(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stub_server, "StubServer", None)
    monkeypatch.setattr("sys.argv", ["stub_server", "--latency", given])
    with pytest.raises(SystemExit) as caught:
        stub_server.main()
    assert caught.value.code == 2
    assert "--latency is" in capsys.readouterr().err
