"""From pieces of a file to blocks of requests: columns at once where all is plain, else row by row.

A piece of a file is parsed in columns. Where anything is not as it should be, its rows are read one
at a time, which names the bad one or counts it. What the first way accepts, the second accepts as
well, with the same values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.workload.ragged import Ragged
from simulator.workload.readers.files import Chunk, too_long
from simulator.workload.readers.policy import BadRow, ReadPolicy
from simulator.workload.readers.rows import (
    Columns,
    Ints,
    Layout,
    LineFormat,
    Piece,
    Row,
    plausible,
)
from simulator.workload.requests import RequestBlock, RequestTraits


@dataclass(frozen=True, slots=True)
class LinePiece:
    """Some lines of a file."""

    chunk: Chunk
    lines: LineFormat
    what: str = "line"

    def columns(self) -> Columns | None:
        """Parse all lines."""
        return self.lines.parse(self.chunk.data)

    def items(self) -> Iterable[tuple[int, bytes]]:
        """Return the lines and their numbers."""
        return enumerate(self.chunk.data.split(b"\n"), self.chunk.first_line)

    def read(self, item: bytes) -> Row | None:
        """Read one line."""
        if len(item) > self.lines.longest_bytes:
            raise BadRow("line too long", too_long(self.lines.longest_bytes))
        return self.lines.row(item.decode("utf-8", "surrogateescape"))


def read_lines(
    chunks: Iterable[Chunk], path: Path, policy: ReadPolicy, lines: LineFormat
) -> Iterator[RequestBlock]:
    """Yield the requests of chunks of lines; see `read_blocks`."""
    return read_blocks((LinePiece(chunk, lines) for chunk in chunks), path, policy, lines)


def read_blocks(
    pieces: Iterable[Piece], path: Path, policy: ReadPolicy, layout: Layout
) -> Iterator[RequestBlock]:
    """Yield the requests of the pieces of a file, times since the first.

    Raises
    ------
    DataError
        If a row is bad and the policy does not skip it, or there is no request.
    """
    origin = before = None
    first_id = 0
    policy.report.told = layout.traits
    for piece in pieces:
        columns, refused = _at_once(piece, path, policy, before), None
        if columns is None:
            columns, refused = _row_by_row(piece, path, policy, layout, before)
        if columns.time.size:
            before = columns.time[-1]
            origin = columns.time[0] if origin is None else origin
            arrival_s = (columns.time - origin) / layout.per_second
            yield block_of(first_id, arrival_s, columns, layout.hash_tokens)
            first_id += columns.time.size
            policy.report.rows = first_id
        if refused is not None:  # only now: whoever wants no more rows does not care
            raise refused
    if origin is None:
        raise DataError(f"{path}: {no_request(policy)}")


def no_request(policy: ReadPolicy) -> str:
    """Say that a file holds no request, and why as far as it is known."""
    skipped = policy.report.skipped.most_common(1)
    if not skipped:
        return "holds no request; give a trace with at least one row."
    reason, count = skipped[0]
    return (
        f"no request is left: {count:,} rows were skipped for {reason!r} "
        f"({policy.report.example[reason]}). Does workload.format fit the file?"
    )


def block_of(
    first_id: int, arrival_s: NDArray[np.float64], columns: Columns, hash_tokens: int
) -> RequestBlock:
    """Return columns as a block; what was not told of requests is the same for all."""
    size = arrival_s.size
    traits = None
    if any(column is not None for column in columns[3:]):
        zeros = np.zeros(size, np.int64)
        traits = RequestTraits(
            traffic_class=zeros if columns.traffic_class is None else columns.traffic_class,
            tenant=zeros if columns.tenant is None else columns.tenant,
            priority=zeros,
            session=zeros - 1 if columns.session is None else columns.session,
            cancel_after_s=np.full(size, np.inf),
            prefixes=Ragged.of([()] * size) if columns.prefixes is None else columns.prefixes,
            hash_tokens=hash_tokens,
        )
    return RequestBlock(first_id, arrival_s, columns.prompt_tokens, columns.output_tokens, traits)


def _at_once(piece: Piece, path: Path, policy: ReadPolicy, before: float | None) -> Columns | None:
    """Return the rows of a piece, bad ones given to the policy; None to read them one at a time.

    Only rows out of range are told apart here, and only where they are skipped.
    """
    columns = piece.columns()
    if columns is None:
        return None
    good = plausible(columns)
    kept = columns if good.all() else _kept(columns, good)
    if not _in_order(kept.time, before):
        return None
    if not good.all():
        found = _verdicts(piece, good) if policy.on_bad_row == "skip" else None
        if found is None:
            return None
        for where, bad in found:
            policy.reject(where, bad, path)
    return kept


def _kept(columns: Columns, good: NDArray[np.bool_]) -> Columns:
    def of(column: Ints | None) -> Ints | None:
        return None if column is None else column[good]

    prefixes = columns.prefixes
    return Columns(
        time=columns.time[good],
        prompt_tokens=columns.prompt_tokens[good],
        output_tokens=columns.output_tokens[good],
        traffic_class=of(columns.traffic_class),
        tenant=of(columns.tenant),
        session=of(columns.session),
        prefixes=None if prefixes is None else prefixes.take(np.flatnonzero(good)),
    )


def _verdicts(piece: Piece, good: NDArray[np.bool_]) -> list[tuple[str, BadRow]] | None:
    """Return place and fault of the rows that are not good; None if they cannot be told."""
    items = list(piece.items())
    if len(items) - good.size not in (0, 1):  # blank lines; one is what follows the last line feed
        return None
    found = []
    for index in np.flatnonzero(~good):
        number, item = items[index]
        try:
            piece.read(item)
        except BadRow as bad:
            found.append((f"{piece.what} {number}", bad))
    return found if len(found) == good.size - np.count_nonzero(good) else None


def _in_order(time: NDArray[Any], before: float | None) -> bool:
    if time.size == 0:
        return True
    return (before is None or time[0] >= before) and bool(np.all(time[1:] >= time[:-1]))


def _row_by_row(
    piece: Piece, path: Path, policy: ReadPolicy, layout: Layout, before: float | None
) -> tuple[Columns, DataError | None]:
    """Read a piece row by row, up to one that is refused; bad rows go to the policy."""
    found = []
    refused = None
    for number, item in piece.items():
        try:
            row = piece.read(item)
            if row is None:
                continue
            _check_order(row.time, before, layout)
        except BadRow as bad:
            refused = policy.reject(f"{piece.what} {number}", bad, path)
            if refused is not None:
                break
            continue
        before = row.time
        found.append(row)
    return _columns(found, layout), refused


def _check_order(time: float, before: float | None, layout: Layout) -> None:
    if before is not None and time < before:
        raise BadRow(
            "time runs backwards",
            f"time runs backwards, {(before - time) / layout.per_second:g} s before the row above; "
            "sort the file by time.",
        )


def _columns(rows: Sequence[Row], layout: Layout) -> Columns:
    def optional(name: str) -> Ints | None:
        if name not in layout.traits:
            return None
        return np.array([getattr(row, name) for row in rows], dtype=np.int64)

    time = np.array([row.time for row in rows])
    return Columns(
        time=time if rows else np.empty(0),
        prompt_tokens=np.array([row.prompt_tokens for row in rows], dtype=np.int64),
        output_tokens=np.array([row.output_tokens for row in rows], dtype=np.int64),
        traffic_class=optional("traffic_class"),
        tenant=optional("tenant"),
        session=optional("session"),
        prefixes=Ragged.of([row.prefixes for row in rows]) if "prefixes" in layout.traits else None,
    )
