"""popi-prompt cache"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from popi_prompt.models.cache import AnswerCache

_path = click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="The cache.  [default: popi-prompt/answers.sqlite in $XDG_CACHE_HOME or ~/.cache]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group(name="cache", short_help="Look at the answers kept on disk, or remove them.")
def command() -> None:
    """Answers of models are kept on disk, so that the same request is not paid twice.

    \b
    Examples:
      popi-prompt cache stats
      popi-prompt cache forget-user u001
    """


@command.command(short_help="Say how much is kept, and where.")
@_path
@_json
def stats(path: Path | None, as_json: bool) -> None:
    """Print number, size and age of the answers that are kept.

    \b
    Example:
      popi-prompt cache stats
    """
    from popi_prompt.cli.render import print_json
    from popi_prompt.models.cache_stats import DEFAULT_BYTES, CacheStats, default_path

    path = path or default_path()
    if path.exists():
        cache = _open(path)
        found = cache.stats()
        cache.close()
    else:
        found = CacheStats(path, 0, 0, DEFAULT_BYTES, 0, 0, None, None)
    if as_json:
        print_json(found.as_record())
        return
    from popi_prompt.cli.render import moment, size

    click.echo(f"path     {found.path}{'' if path.exists() else ' (not made yet)'}")
    click.echo(f"answers  {found.entries}")
    click.echo(f"size     {size(found.bytes)} of at most {size(found.limit)}")
    if found.oldest is not None and found.newest is not None:
        click.echo(f"added    {moment(found.oldest)} to {moment(found.newest)}")


@command.command(short_help="Remove every answer.")
@_path
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
def clear(path: Path | None, yes: bool, as_json: bool) -> None:
    """Remove every answer that is kept. Runs then pay for them again.

    \b
    Example:
      popi-prompt cache clear --yes
    """
    from popi_prompt.errors import UsageError
    from popi_prompt.models.cache_stats import default_path

    path = path or default_path()
    if not path.exists():
        _say(0, 0, path, as_json)
        return
    cache = _open(path)
    if not yes:
        if as_json:
            raise UsageError("--json does not ask; add --yes to clear")
        click.confirm(f"Remove {cache.stats().entries} answers from {path}?", abort=True, err=True)
    before = cache.stats().bytes
    removed = cache.clear()
    freed = before - cache.stats().bytes
    cache.close()
    _say(removed, freed, path, as_json)


@command.command(name="forget-user", short_help="Remove the answers of one user.")
@click.argument("user_id")
@_path
@_json
def forget_user(user_id: str, path: Path | None, as_json: bool) -> None:
    """Remove every answer that was asked for USER_ID; no byte of them stays in the file.

    \b
    Example:
      popi-prompt cache forget-user u001
    """
    from popi_prompt.models.cache_stats import default_path

    path = path or default_path()
    if not path.exists():
        _say(0, 0, path, as_json)
        return
    cache = _open(path)
    before = cache.stats().bytes
    removed = cache.forget_user(user_id)
    freed = before - cache.stats().bytes
    cache.close()
    _say(removed, freed, path, as_json)


def _open(path: Path) -> AnswerCache:
    from popi_prompt.errors import CacheError
    from popi_prompt.models.cache import AnswerCache

    def refuse(problem: str) -> None:
        # What a run would do about it does not matter here.
        raise CacheError(problem.partition("; ")[0])

    return AnswerCache(path, notify=refuse)


def _say(removed: int, freed: int, path: Path, as_json: bool) -> None:
    from popi_prompt.cli.render import print_json, size

    freed = max(freed, 0)
    if as_json:
        print_json({"path": str(path), "removed": removed, "freed_bytes": freed})
    else:
        click.echo(f"Removed {removed} answers from {path}; {size(freed)} freed")
