"""Trace readers, chosen by format name from ``READERS``. Each yields rows lazily."""

from __future__ import annotations

import csv
import difflib
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TextIO

from simulator.errors import DataError
from simulator.registry import Registry
from simulator.workload.requests import MAX_TOKENS

MAX_LINE_CHARACTERS = 4096
"""Longest line read (kind: assumed): a row has about 40; this is no trace."""


class TraceRow(NamedTuple):
    """One recorded request: arrival since the first row, s, and lengths, tokens."""

    arrival_s: float
    prompt_tokens: int
    output_tokens: int


TraceReader = Callable[[Path], Iterator[TraceRow]]

READERS: Registry[TraceReader] = Registry("trace_format")

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?"
    r"(?:Z|([+-](?:[01]\d|2[0-3])):?([0-5]\d))?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)


def existing_file(path: str) -> Path:
    """Return the path of a readable regular file.

    Raises
    ------
    DataError
        If there is none; the message names the nearest file of the folder.
    """
    file = Path(path).expanduser()
    try:
        if file.is_file():
            return file
        folder = file.is_dir()
        neighbours = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else None
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"trace {path!r} cannot be opened: {error}.") from error
    if folder:
        raise DataError(f"trace {path!r} is a folder; name a file in it.")
    if neighbours is None:
        raise DataError(f"trace {path!r} not found: there is no folder {str(file.parent)!r}.")
    if file.name in neighbours:
        raise DataError(f"trace {path!r} is not a regular file; copy it to one first.")
    close = difflib.get_close_matches(file.name, neighbours, n=1)
    hint = f" Did you mean {str(file.with_name(close[0]))!r}?" if close else ""
    raise DataError(f"trace {path!r} not found.{hint}")


@READERS.register("azure")
def read_azure(path: Path) -> Iterator[TraceRow]:
    """Read an Azure LLM inference trace: ``TIMESTAMP, ContextTokens, GeneratedTokens``.

    Timestamps are ``2023-11-16 18:15:46.6805900``, up to nine decimals, with or without an offset
    from UTC; rows are in order of time. A name ending in ``.gz`` is read through gzip. Blank lines
    are skipped. Rows without prompt or without output tokens are refused: such a request has no
    time to first token.

    Source: Azure/AzurePublicDataset; Patel et al., Splitwise, ISCA 2024; Stojkovic et al.,
    DynamoLLM, HPCA 2025.

    Raises
    ------
    DataError
        If the file is empty or malformed; the message names the file and the line.
    """
    rows = _csv_rows(path)
    number, header = next(rows, (1, []))
    _check_header(path, number, header)
    origin: tuple[int, float] | None = None
    before_s, before = 0.0, ""
    for number, row in rows:
        if len(row) != len(AZURE_COLUMNS):
            raise DataError(
                f"{path}, line {number}: {len(row)} fields {row[:4]!r} instead of"
                f" {len(AZURE_COLUMNS)} ({','.join(AZURE_COLUMNS)})."
            )
        where = (path, number)
        seconds, fraction = _timestamp(row[0], where)
        if origin is None:
            origin = seconds, fraction
        arrival_s = (seconds - origin[0]) + (fraction - origin[1])
        if arrival_s < before_s:
            raise DataError(
                f"{path}, line {number}: time runs backwards, {row[0]} after {before};"
                " sort the file by TIMESTAMP."
            )
        before_s, before = arrival_s, row[0]
        yield TraceRow(
            arrival_s,
            _tokens(row[1], AZURE_COLUMNS[1], where),
            _tokens(row[2], AZURE_COLUMNS[2], where),
        )
    if origin is None:
        raise DataError(f"{path}: no request after the header; give a trace with at least one row.")


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of every line that is not blank."""
    number = 0
    try:
        with _open_text(path) as file:
            reader = csv.reader(_lines(file, path), strict=True)
            try:
                for row in reader:
                    number = reader.line_num
                    if row:
                        yield number, row
            except csv.Error as error:
                raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}, after line {number}: cannot be read: {error}.") from error


def _open_text(path: Path) -> TextIO:
    """Open as text; bytes that are not UTF-8 become lone surrogates, which no field may hold."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape")
    return path.open(encoding="utf-8-sig", errors="surrogateescape")


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Yield lines; refuse one too long before it fills the memory."""
    number = 0
    while line := file.readline(MAX_LINE_CHARACTERS):
        number += 1
        if len(line) == MAX_LINE_CHARACTERS and not line.endswith("\n"):
            raise DataError(
                f"{path}, line {number}: longer than {MAX_LINE_CHARACTERS} characters;"
                " this is not a trace of one request per line."
            )
        yield line


def _check_header(path: Path, number: int, header: list[str]) -> None:
    names = tuple(name.strip() for name in header)
    if names == AZURE_COLUMNS:
        return
    expected = ",".join(AZURE_COLUMNS)
    if not header:
        raise DataError(f"{path}: empty; expected the header {expected}.")
    found = _shown(",".join(header))
    if names and names[0].startswith("{"):
        raise DataError(
            f"{path}, line {number}: JSON ({found}); workload.format=azure is CSV with the header"
            f" {expected}. Formats known: {', '.join(READERS)}."
        )
    hints = []
    for column in AZURE_COLUMNS:
        close = difflib.get_close_matches(column, [n for n in names if n not in AZURE_COLUMNS], n=1)
        if column not in names:
            hints.append(
                f"rename {close[0]!r} to {column!r}" if close else f"{column!r} is missing"
            )
    hint = f" ({'; '.join(hints)})" if hints else ""
    raise DataError(
        f"{path}, line {number}: header is {found}; workload.format=azure expects {expected}{hint}."
        f" Formats known: {', '.join(READERS)}."
    )


def _timestamp(text: str, where: tuple[Path, int]) -> tuple[int, float]:
    """Return whole seconds since 1970 and the fraction, apart, to keep every decimal."""
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise DataError(
            f"{where[0]}, line {where[1]}: TIMESTAMP is {_shown(text)}; expected a time such as"
            " 2023-11-16 18:15:46.6805900."
        )
    date, time, decimals, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date} {time}") - _EPOCH
    except ValueError as error:
        raise DataError(
            f"{where[0]}, line {where[1]}: TIMESTAMP is {_shown(text)}: {error}."
        ) from error
    seconds = moment.days * 86_400 + moment.seconds
    if hours is not None:
        sign = -1 if hours[0] == "-" else 1
        seconds -= sign * (abs(int(hours)) * 3600 + int(minutes) * 60)
    return seconds, float(f"0.{decimals}") if decimals else 0.0


def _tokens(text: str, column: str, where: tuple[Path, int]) -> int:
    """Return a token count of 1 to ``MAX_TOKENS``."""
    digits = text.strip()
    if digits.isascii() and digits.isdigit():
        tokens = int(digits)
        if 1 <= tokens <= MAX_TOKENS:
            return tokens
        problem = (
            "no request has so many tokens"
            if tokens
            else "a request without tokens cannot be served: remove the row"
        )
    elif digits.startswith("-"):
        problem = "a number of tokens is positive"
    else:
        problem = "expected a whole number of tokens"
    raise DataError(f"{where[0]}, line {where[1]}: {column} is {_shown(text)}; {problem}.")


def _shown(text: str) -> str:
    """Quote a field for a message: escaped, shortened, and saying so where bytes are not UTF-8."""
    shown = ascii(text) if len(text) <= 60 else ascii(text[:60]) + "..."
    broken = any("\udc80" <= c <= "\udcff" for c in text)
    return f"{shown} (not valid UTF-8)" if broken else shown
