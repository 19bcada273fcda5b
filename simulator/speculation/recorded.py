"""Acceptance as it was recorded: the rounds of real requests."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from simulator.errors import ConfigError, DataError, nearest
from simulator.speculation.config import MAX_DRAFT_TOKENS

COLUMNS = ("request", "round", "accepted")

MAX_ROUNDS = 50_000_000
"""Most rounds read (kind: assumed): 1.2 GB of numbers; more is no recording to draw from."""

Counts = NDArray[np.int64]


class RecordedAcceptance:
    """Each request follows a recorded one drawn at random, its rounds in order, over and over.

    Parameters
    ----------
    requests
        Number of the recorded request of each round: int64[rounds].
    rounds
        Where it stands among the rounds of its request: int64[rounds].
    accepted
        Drafted tokens accepted in it: int64[rounds].

    Examples
    --------
    >>> model = RecordedAcceptance(*np.array([[1, 1, 2, 2], [1, 2, 1, 2], [0, 2, 3, 1]]))
    >>> model.longest, round(model.tokens_per_round(2), 2)
    (3, 2.22)
    """

    by_token = False

    def __init__(self, requests: Counts, rounds: Counts, accepted: Counts) -> None:
        order = np.lexsort((rounds, requests))
        self._accepted = accepted[order]
        _, self._first, self._rounds = np.unique(
            requests[order], return_index=True, return_counts=True
        )

    @property
    def longest(self) -> int:
        """The longest run that was recorded, tokens."""
        return int(self._accepted.max())

    def draw(self, output_tokens: Counts, gamma: int, generator: np.random.Generator) -> Counts:
        """Draw whom each request follows, and read its runs (`acceptance.Acceptance`)."""
        chosen = np.repeat(
            generator.integers(self._first.size, size=len(output_tokens)), output_tokens
        )
        start = np.repeat(np.cumsum(output_tokens) - output_tokens, output_tokens)
        number = np.arange(chosen.size) - start
        number %= self._rounds[chosen]
        runs: Counts = np.minimum(self._accepted[self._first[chosen] + number], gamma)
        return runs

    def tokens_per_round(self, gamma: int) -> float:
        """Return the tokens of all rounds over their number, for long requests of equal length.

        The harmonic mean over the recorded requests of their tokens per round.
        """
        capped = np.add.reduceat(np.minimum(self._accepted, gamma), self._first)
        return float(1.0 / np.mean(1.0 / (1.0 + capped / self._rounds)))


def read_recorded(path: str, gamma: int) -> RecordedAcceptance:
    """Read accepted counts by request and round.

    A CSV file has the header ``request,round,accepted``, a Parquet file (``.parquet``) these
    columns, all of integers. Rounds of a request are put in order of their number. What other
    columns there are is not looked at in Parquet, and refused in CSV.

    Parameters
    ----------
    path
        The file. It may come from anywhere: nothing in it is trusted.
    gamma
        Draft length to simulate, at most the longest run recorded: what a longer draft would have
        had accepted is not in the file.

    Raises
    ------
    DataError
        If the file is missing or malformed; the message names the line or row.
    ConfigError
        If drafts of this length were not recorded.
    """
    file = _existing(path)
    try:
        parquet = file.suffix == ".parquet"
        table, place = (_read_parquet(file), "row") if parquet else (_read_csv(file), "line")
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise DataError(
            f"speculation.path={path!r} cannot be read: {str(error).rstrip('.')}. Give a CSV file "
            f"in UTF-8 or a file .parquet, with the columns {', '.join(COLUMNS)}."
        ) from error
    _check(table, f"{file}, {place}", first=1 if parquet else 2)
    model = RecordedAcceptance(*table)
    if gamma > model.longest:
        raise ConfigError(
            f"speculation.gamma={gamma} exceeds the longest run of {file}, {model.longest} tokens: "
            f"what a longer draft would have had accepted was not recorded. Set "
            f"speculation.gamma={model.longest} at most."
        )
    return model


def _existing(path: str) -> Path:
    """Return the path of a regular file, or name the nearest of its folder."""
    try:
        file = Path(path).expanduser()
        if file.is_file():
            return file
        others = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"speculation.path={path!r} cannot be opened: {error}.") from error
    near = nearest(file.name, others)
    hint = f" Did you mean {str(file.with_name(near))!r}?" if near and near != file.name else ""
    raise DataError(f"speculation.path={path!r} is not a file.{hint}")


def _read_parquet(file: Path) -> Counts:
    """Read the columns of a Parquet file: int64[3, rounds]."""
    with pq.ParquetFile(file) as source:
        schema, rows = source.schema_arrow, source.metadata.num_rows
        for name in COLUMNS:
            if name not in schema.names:
                raise DataError(
                    f"{file} lacks the column {name!r}; it needs {', '.join(COLUMNS)} and has "
                    f"{', '.join(schema.names[:8])}."
                )
            if not pa.types.is_integer(schema.field(name).type):
                raise DataError(
                    f"{file}: column {name!r} is of {schema.field(name).type}, not of integers."
                )
        if rows > MAX_ROUNDS:
            raise DataError(f"{file} has {rows} rounds; {MAX_ROUNDS} are the most that are read.")
        columns = source.read(columns=list(COLUMNS))
    for name in COLUMNS:
        if columns[name].null_count:
            row = columns[name].is_null().to_pylist().index(True) + 1
            raise DataError(f"{file}, row {row}: {name} is missing.")
    return np.array([columns[name].cast(pa.int64()).to_numpy() for name in COLUMNS], np.int64)


def _read_csv(file: Path) -> Counts:
    """Read the rows of a CSV file: int64[3, rounds]."""
    with file.open(newline="", encoding="utf-8-sig") as text:
        rows = csv.reader(text)
        header = [name.strip() for name in next(rows, [])]
        if tuple(header) != COLUMNS:
            raise DataError(
                f"{file}, line 1: the header is {','.join(header[:8])!r} instead of "
                f"{','.join(COLUMNS)!r}."
            )
        values = np.fromiter(_integers(file, rows), np.int64)
    return values.reshape(-1, len(COLUMNS)).T


def _integers(file: Path, rows: Iterator[list[str]]) -> Iterator[int]:
    """Yield the values of a CSV file, row by row."""
    for line, row in enumerate(rows, start=2):
        if len(row) != len(COLUMNS):
            raise DataError(
                f"{file}, line {line}: {len(row)} fields {row[:4]!r} instead of {len(COLUMNS)} "
                f"({','.join(COLUMNS)})."
            )
        if line > MAX_ROUNDS + 1:
            raise DataError(f"{file}, line {line}: more than {MAX_ROUNDS} rounds.")
        for name, value in zip(COLUMNS, row, strict=True):
            digits = value.strip()
            if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
                raise DataError(f"{file}, line {line}: {name} is {value[:40]!r}, not a count.")
            yield int(digits)


def _check(table: Counts, place: str, *, first: int) -> None:
    """Refuse counts that cannot be, and rounds given twice; ``first`` is where the rows begin."""
    requests, rounds, accepted = table
    if not accepted.size:
        raise DataError(f"{place} {first}: no round after the header; give one at least.")
    wrong = np.flatnonzero((accepted < 0) | (accepted > MAX_DRAFT_TOKENS))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{place} {row + first}: accepted is {accepted[row]}; a round has 0 to "
            f"{MAX_DRAFT_TOKENS} accepted tokens."
        )
    order = np.lexsort((rounds, requests))
    again = (np.diff(requests[order]) == 0) & (np.diff(rounds[order]) == 0)
    if again.any():
        row = int(order[1:][again].min())
        raise DataError(
            f"{place} {row + first}: round {rounds[row]} of request {requests[row]} is given twice."
        )
