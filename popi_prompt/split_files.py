"""The parts of a split as files of users."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from popi_prompt.dataset import user_lines
from popi_prompt.files import check_writable, make_folder, writing
from popi_prompt.split import Split


def write_split(folder: Path, split: Split, *, reading: Sequence[Path] = ()) -> dict[str, Path]:
    """Write the parts as `folder`/train.jsonl, val.jsonl and test.jsonl; the files by part.

    Makes the folder. All parts are written before the first takes its place. Raises `UsageError`
    where the folder or a file cannot be written, or a file is among those that the caller is
    `reading`, and `WriteError` where the disk takes no more.
    """
    make_folder(folder)
    files = {name: folder / f"{name}.jsonl" for name in split.parts}
    for path in files.values():
        check_writable(path, reading=reading)
    with ExitStack() as stack:
        for name, part in split.parts.items():
            file = stack.enter_context(writing(files[name], private=True))
            file.writelines(user_lines(part))
            file.flush()
    return files
