"""CSV traces: the header, columns of a chunk through pyarrow, one line through ``csv``."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from simulator.errors import DataError
from simulator.workload.readers.fields import shown
from simulator.workload.readers.files import Chunk, too_long
from simulator.workload.readers.policy import READERS, BadRow


def table_of(data: bytes, types: Mapping[str, pa.DataType]) -> pa.Table | None:
    """Parse lines into columns of these types, or return None if any field is not of its type.

    Empty fields and words for missing values are of no type. What pyarrow and `fields_of` would
    read differently is left to that: unusual quotes, hexadecimal numbers.
    """
    quoted = b'"' in data
    if quoted and not _plainly_quoted(data):
        return None
    table = _parsed(data, types, list(types))
    if table is None or (quoted and table.num_rows != data.count(b"\n")):
        return None
    numbers = [name for name, kind in types.items() if pa.types.is_integer(kind)]
    if (b"x" in data or b"X" in data) and _hexadecimal(data, types, numbers):
        return None
    return table


def _parsed(
    data: bytes, types: Mapping[str, pa.DataType], wanted: Sequence[str]
) -> pa.Table | None:
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                use_threads=False, column_names=list(types), block_size=len(data) + 1
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict(types), include_columns=list(wanted), null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None


def _plainly_quoted(data: bytes) -> bool:
    """Tell whether every quote seems to begin or to end a field."""
    opened = data.count(b',"') + data.count(b'\n"') + data.startswith(b'"')
    closed = data.count(b'",') + data.count(b'"\n')
    return opened == closed and 2 * opened == data.count(b'"')


def _hexadecimal(data: bytes, types: Mapping[str, pa.DataType], numbers: Sequence[str]) -> bool:
    """Tell whether a number is written in hexadecimal digits."""
    texts = _parsed(data, dict.fromkeys(types, pa.string()), numbers)
    return texts is None or any(
        pc.any(pc.match_substring(column, "x", ignore_case=True)).as_py()
        for column in texts.columns
    )


def fields_of(line: str, columns: Sequence[str]) -> list[str] | None:
    """Return the fields of a line, None of an empty one.

    Raises
    ------
    BadRow
        If it is not CSV or has another number of fields.
    """
    try:
        rows = list(csv.reader([line], strict=True))
    except csv.Error as error:
        raise BadRow("not CSV", f"not CSV: {error}.") from error
    if not rows or not rows[0]:
        return None
    if len(rows[0]) != len(columns):
        raise BadRow(
            "another number of fields",
            f"{len(rows[0])} fields {[field[:60] for field in rows[0][:4]]!a} instead of "
            f"{len(columns)} ({','.join(columns)}).",
        )
    return rows[0]


def split_header(
    chunks: Iterable[Chunk], path: Path, longest_bytes: int, expected: str
) -> tuple[int, list[str], Iterator[Chunk]]:
    """Take the first line that is not blank off the chunks.

    Returns
    -------
    tuple
        Its number, its fields without space around them, and the chunks after it.

    Raises
    ------
    DataError
        If there is none, or it is too long to be one.
    """
    rest = iter(chunks)
    for number, data in rest:
        lines = data.lstrip(b"\n")
        if not lines:
            continue
        first, _, after = lines.partition(b"\n")
        line = number + len(data) - len(lines)
        if len(first) > longest_bytes:
            raise DataError(f"{path}, line {line}: {too_long(longest_bytes)}")
        try:
            fields = next(csv.reader([first.decode("utf-8", "replace")], strict=True))
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: not CSV: {error}.") from error
        return line, [name.strip() for name in fields], _and_then(Chunk(line + 1, after), rest)
    raise DataError(f"{path}: empty; expected the header {expected}.")


def wrong_header(
    path: Path, number: int, found: Sequence[str], format_name: str, *columns: str
) -> DataError:
    """Return the error about a header that lacks columns: what to rename, what is missing."""
    text = shown(",".join(found))
    expected = ",".join(columns)
    if found[0].startswith("{"):
        return DataError(
            f"{path}, line {number}: JSON ({text}); workload.format={format_name} is CSV with the "
            f"header {expected}. Formats known: {', '.join(READERS)}."
        )
    hints = []
    for column in columns:
        if column in found:
            continue
        close = difflib.get_close_matches(column, [n for n in found if n not in columns], n=1)
        hints.append(
            f"rename {shown(close[0])} to {column!r}" if close else f"{column!r} is missing"
        )
    hint = f" ({'; '.join(hints)})" if hints else ""
    return DataError(
        f"{path}, line {number}: header is {text}; workload.format={format_name} expects "
        f"{expected}{hint}. Formats known: {', '.join(READERS)}."
    )


def _and_then(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    if first.data:
        yield first
    yield from rest
