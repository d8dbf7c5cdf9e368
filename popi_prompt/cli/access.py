"""Options of every command that calls models: configuration, caps, cache and trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from popi_prompt.cli.gathered import gathered
from popi_prompt.cli.number import Number
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.models.access import Access
    from popi_prompt.models.spent import Spent

SCORERS = "likelihood, choice, judge, similarity, or module:function."
EMBEDDING_DEFAULT = "default: the generator if it is local"
_OPTIONS = (
    click.option(
        "--config", type=click.Path(path_type=Path), help="TOML: how each role's model is reached."
    ),
    click.option("--max-usd", type=Number(0), help="Stop before this many USD are exceeded."),
    click.option("--max-calls", type=click.IntRange(0), help="Stop after this many calls."),
    click.option("--max-tokens", type=click.IntRange(0), help="Stop before more, in and out."),
    click.option("--max-minutes", type=Number(0), help="Send nothing after so many minutes."),
    click.option("--no-cache", is_flag=True, help="Neither read nor keep answers on disk."),
    click.option(
        "--trace", type=click.Path(path_type=Path), help="Append every model call to this file."
    ),
    click.option("--no-trace-text", is_flag=True, help="Trace without any text of users."),
)


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """The options as they were given."""

    config: Path | None
    max_usd: float | None
    max_calls: int | None
    max_tokens: int | None
    max_minutes: float | None
    no_cache: bool
    trace: Path | None
    no_trace_text: bool

    def check_outputs(self, outputs: Iterable[Path | None], *reading: Path) -> None:
        """Raise `UsageError` where one cannot be written, is the trace, or is read here, too."""
        from popi_prompt.files import check_writable

        read = [path for path in (*reading, self.config) if path is not None]
        for output in outputs:
            if output is not None:
                check_writable(output, reading=read)
                if self.trace is not None and self.trace.resolve() == output.resolve():
                    raise UsageError(f"--trace and the output are both {str(output)!r}; name two")

    def access(self) -> Access:
        """What they mean. Raises `UsageError` for what cannot work."""
        from popi_prompt.models.access import Access
        from popi_prompt.models.config import load_config
        from popi_prompt.models.spent import Caps

        if self.no_trace_text and self.trace is None:
            raise UsageError("--no-trace-text needs --trace FILE")
        return Access(
            roles={} if self.config is None else load_config(self.config),
            caps=Caps(self.max_usd, self.max_calls, self.max_tokens, self.max_minutes),
            cache=not self.no_cache,
            trace=self.trace,
            trace_text=not self.no_trace_text,
        )


access_options = gathered(_OPTIONS, AccessOptions, "options")


def print_bill(spent: Mapping[str, Spent]) -> None:
    """One line on stderr: what each role has used, where anything left this process."""
    from popi_prompt.models.spent import shown

    if not any(each.usd != 0 or each.unconfirmed for each in spent.values()):
        return
    parts = []
    for role, each in spent.items():
        cost = "price unknown" if each.usd is None else shown("usd", each.usd)
        parts.append(
            f"{role} {each.calls} calls, {each.tokens_in} + {each.tokens_out} tokens, {cost}"
        )
    click.echo(f"Used: {'; '.join(parts)}", err=True)
