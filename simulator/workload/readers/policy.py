"""What a trace reader is, and what it does with rows that are not as they should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import DataError
from simulator.registry import Registry
from simulator.workload.requests import RequestBlock

ON_BAD_ROW = ("error", "skip")
"""What to do with a bad row: stop and name it, or count it and go on."""


class BadRow(Exception):  # noqa: N818 (a verdict about a row; users see a DataError or a count)
    """A row that cannot be a request.

    Parameters
    ----------
    reason
        In a few words that are the same for all such rows; skips are counted by it.
    message
        What is wrong with this one: the column, the value, what was expected.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class ReadReport:
    """What a reader found while it read.

    Attributes
    ----------
    skipped
        Bad rows left out, by reason.
    example
        Where the first of each reason is, and what is wrong with it.
    rows
        Good rows read.
    tick_s
        Recorded times are multiples of this, s; 0: exact.
    told
        What the file tells of requests: names of ``RequestTraits``.
    notes
        What was assumed, one sentence each, for the report.
    """

    rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    tick_s: float = 0.0
    told: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Say which rows were left out, for the report.

        Examples
        --------
        >>> ReadReport(0, Counter(empty=3), {"empty": "line 9: it is '0'"}).sentences()
        ["3 bad rows were skipped: empty (first: line 9: it is '0')"]
        """
        return [
            f"{count:,} bad row{'s were' if count > 1 else ' was'} skipped: {reason}"
            f" (first: {self.example[reason]})"
            for reason, count in sorted(self.skipped.items())
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPolicy:
    """How to read a trace.

    Parameters
    ----------
    on_bad_row
        One of ``ON_BAD_ROW``.
    hash_tokens
        Tokens that a prefix hash of the file stands for. None: as the format has it.
    tasks
        Names of the traffic classes, by which a format that names tasks tells them apart. None
        given: tasks are not told apart.
    report
        Filled in by the reader.
    """

    on_bad_row: str = "error"
    hash_tokens: int | None = None
    tasks: tuple[str, ...] = ()
    report: ReadReport = field(default_factory=ReadReport)

    def reject(self, where: str, bad: BadRow, file: Path) -> DataError | None:
        """Count a bad row, or return the error that refuses it.

        Parameters
        ----------
        where
            Its place in the file ("line 7").
        bad
            What is wrong.
        file
            The file.
        """
        if self.on_bad_row == "error":
            return DataError(f"{file}, {where}: {bad}")
        self.report.skipped[bad.reason] += 1
        self.report.example.setdefault(bad.reason, f"{where}: {str(bad).rstrip('.')}")
        return None


TraceReader = Callable[[Path, ReadPolicy], Iterator[RequestBlock]]
"""Yields the requests of a file in blocks of any size, times since the first row."""

READERS: Registry[TraceReader] = Registry("trace_format")
"""By ``workload.format``."""
