"""Files of records, one after the other: JSON, JSON Lines, CSV, Parquet and the Hugging Face Hub.

Whatever cannot be read is a `DataError` with the file and, where there is one, the line or the
number of the record. Records are counted from 0, lines from 1.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from popi_prompt.dataset import read_jsonl
from popi_prompt.errors import DataError, UsageError
from popi_prompt.fields import shown
from popi_prompt.files import parse_json
from popi_prompt.importers.json_array import MOST, array_values
from popi_prompt.importers.raw_files import first_byte, opened
from popi_prompt.importers.row import Row

HUB = "hf://"
_BATCH = 256
_SEPARATORS = {",": "','", ";": "';'", "\t": "tabs"}


def read_rows(source: str) -> Iterator[Row]:
    """Records of a file, by its suffix, or of a data set on the Hub.

    Raises `UsageError` for a suffix that is not known and for an extra that is not installed.
    """
    if source.startswith(HUB):
        return _hub(source)
    readers = {
        ".json": _json,
        ".jsonl": _json,
        ".ndjson": _json,
        ".csv": _csv,
        ".tsv": _csv,
        ".parquet": _parquet,
    }
    reader = readers.get(Path(source).suffix.lower())
    if reader is None:
        raise UsageError(f"cannot tell the format of {source!r}; known: {', '.join(readers)}")
    return reader(source)


def read_array(source: str) -> Iterator[Row]:
    """Records of a JSON array, which is never held as a whole."""
    with opened(source) as file:
        for number, value in enumerate(array_values(file, source)):
            yield _row(source, number, value)


def read_object(source: str) -> Row:
    """A JSON object, held as a whole: of small files only."""
    with opened(source) as file:
        raw = file.read()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"is not valid UTF-8 at byte {error.start + 1}", path=source) from None
    return _row(source, 0, parse_json(text, Path(source)))


def is_array(source: str) -> bool:
    """Whether a JSON file starts with a bracket."""
    return first_byte(source) == b"["


def _row(source: str, number: int, value: Any, is_line: bool = False) -> Row:
    row = Row(source, number, {}, is_line)
    if not isinstance(value, Mapping):
        raise row.error(f"is {shown(value)}, expected an object")
    return Row(source, number, value, is_line)


def _json(source: str) -> Iterator[Row]:
    if is_array(source):
        yield from read_array(source)
        return
    try:
        for line, value in read_jsonl(Path(source)):
            yield _row(source, line, value, is_line=True)
    except DataError as error:
        if not isinstance(error.__context__, json.JSONDecodeError):
            raise
        # Most often one object over many lines, and then what the parser says is no help.
        expected = "expected JSON Lines, each line a whole object, or a JSON array"
        raise DataError(f"{error.problem}; {expected}", path=error.path, line=error.line) from None


def _csv(source: str) -> Iterator[Row]:
    # The limit is one for the process: only raised, as others may count on it while this reads.
    csv.field_size_limit(max(csv.field_size_limit(), MOST))
    delimiter = "\t" if source.lower().endswith(".tsv") else ","
    # The reader asks for lines one by one and must see line ends within quotes.
    with opened(source) as file:
        reader = csv.reader(_decoded(file, source), delimiter=delimiter, strict=True)
        header: Sequence[str] | None = None
        try:
            for cells in reader:
                if header is None:
                    header = _header(cells, delimiter, source, reader.line_num)
                elif cells:
                    if len(cells) != len(header):
                        problem = f"has {len(cells)} columns, the header has {len(header)}"
                        raise DataError(problem, path=source, line=reader.line_num)
                    values = dict(zip(header, cells, strict=True))
                    yield Row(source, reader.line_num, values, is_line=True)
        except csv.Error as error:
            problem = f"is not valid CSV: {error}"
            raise DataError(problem, path=source, line=reader.line_num) from None


def _header(cells: list[str], delimiter: str, source: str, line: int) -> list[str] | None:
    """The names of columns; none of a blank line, as there may be some before them."""
    names = [cell.strip() for cell in cells]
    if names in ([], [""]):
        return None
    _refuse_twins(names, source, line)
    others = [mark for mark in _SEPARATORS if mark != delimiter and mark in names[0]]
    if len(names) == 1 and others:
        problem = f"is separated by {_SEPARATORS[others[0]]}; expected {_SEPARATORS[delimiter]}"
        raise DataError(problem, path=source, line=line)
    return names


def _refuse_twins(names: Sequence[str], source: str, line: int | None = None) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            problem = f"has two columns of the same name: {shown(name)}"
            raise DataError(problem, path=source, line=line)


def _decoded(file: Iterable[bytes], source: str) -> Iterator[str]:
    for number, raw in enumerate(file, start=1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problem = f"is not valid UTF-8 at byte {error.start + 1} of the line"
            raise DataError(problem, path=source, line=number) from None


def _parquet(source: str) -> Iterator[Row]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError(_missing("pyarrow", source)) from None
    number = 0
    with opened(source) as file:
        try:
            table = parquet.ParquetFile(file)
            _refuse_twins(table.schema_arrow.names, source)
            for batch in table.iter_batches(_BATCH):
                for value in batch.to_pylist():
                    yield _row(source, number, value)
                    number += 1
        except (arrow.ArrowException, ValueError, OSError, OverflowError) as error:
            reason = " ".join(str(error).split())
            problem = f"record {number}: is not valid Parquet: {shown(reason)}"
            raise DataError(problem, path=source) from None


def _hub(source: str) -> Iterator[Row]:
    try:
        # A folder `datasets` on the path can be imported, too, and has nothing in it.
        from datasets import load_dataset
    except ImportError:
        raise UsageError(_missing("datasets", source)) from None
    name, _, split = source.removeprefix(HUB).partition(":")
    owner, _, rest = name.partition("/")
    title, _, config = rest.partition("/")
    if not owner or not title:
        raise UsageError(f"{source!r} is not hf://OWNER/NAME[/CONFIG][:SPLIT]")
    try:
        found = load_dataset(
            f"{owner}/{title}", config or None, split=split or "train", streaming=True
        )
        for number, value in enumerate(found):
            yield _row(source, number, value)
    except DataError:
        raise
    except Exception as error:  # of the network, of the Hub, of any reader behind it
        reason = shown(" ".join(str(error).split()))
        raise DataError(f"cannot be read ({type(error).__name__}: {reason})", path=source) from None


def _missing(package: str, source: str) -> str:
    return f"{source!r} needs the package {package!r}; install it with: pip install {package}"
