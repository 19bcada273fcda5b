"""``requests.csv``: runs of a real engine, request by request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.speculation.config import MAX_DRAFT_TOKENS
from simulator.study.csv_rows import Line, read_lines, require
from simulator.workload.recorded import TraceRow

COLUMNS = (
    *("run", "model", "gamma", "arrival_s", "prompt_tokens", "output_tokens"),
    *("first_token_s", "finish_s"),
)


@dataclass(frozen=True, slots=True)
class Latencies:
    """What the requests of a run waited for, seconds, one element each.

    Parameters
    ----------
    ttft_s, e2e_s
        From arrival to first and to last token.
    tpot_s
        Per output token after the first; NaN for requests of one token.
    """

    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        arrival_s: NDArray[np.float64],
        first_token_s: NDArray[np.float64],
        finish_s: NDArray[np.float64],
        output_tokens: NDArray[np.int64],
    ) -> Latencies:
        """Compute them from the times of requests."""
        later = np.where(output_tokens > 1, output_tokens - 1.0, np.nan)
        return cls(
            first_token_s - arrival_s, (finish_s - first_token_s) / later, finish_s - arrival_s
        )

    def median_s(self, figure: str) -> float:
        """Return the median of one figure over the requests that have it."""
        return float(np.nanmedian(getattr(self, figure)))


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One run of the engine.

    Parameters
    ----------
    name, model, gamma
        Its name, what was served, and with what draft length.
    alpha
        Acceptance rate of rounds.
    rows
        The requests in order of arrival.
    latencies
        What was measured of each, in the same order.
    """

    name: str
    model: str
    gamma: int
    alpha: float
    rows: tuple[TraceRow, ...]
    latencies: Latencies


def read_runs(path: Path) -> list[MeasuredRun]:
    """Read the runs of ``requests.csv``.

    Raises
    ------
    DataError
        If the file or a row makes no sense; the message names file and line.
    """
    lines = read_lines(path, what="requests")
    if not lines:
        raise DataError(f"{path}: no rows; record at least some tens of requests.")
    require(lines[0], [(name,) for name in COLUMNS])
    by_run: dict[str, list[Line]] = {}
    for line in lines:
        by_run.setdefault(line.text("run"), []).append(line)
    return [_run(name, group) for name, group in by_run.items()]


def _run(name: str, lines: list[Line]) -> MeasuredRun:
    first = lines[0]
    gamma, alpha = first.count("gamma", 0) or 0, first.number_of("alpha")
    if gamma > MAX_DRAFT_TOKENS:
        raise first.refuse(f"gamma is {gamma}; at most {MAX_DRAFT_TOKENS} can be simulated.")
    if gamma and (alpha is None or not 0 <= alpha <= 1):
        raise first.refuse(f"alpha is {first.text('alpha')!r}; a run with drafts needs 0 to 1.")
    for line in lines:
        for column in ("model", "gamma", "alpha"):
            if line.text(column) != first.text(column):
                raise line.refuse(f"run {name!r} has another {column} than in line {first.number}.")
    times = sorted((_times(line) for line in lines), key=lambda row: row["arrival_s"])
    columns = {key: np.array([row[key] for row in times]) for key in times[0]}
    rows = tuple(
        TraceRow(row["arrival_s"], int(row["prompt_tokens"]), int(row["output_tokens"]))
        for row in times
    )
    latencies = Latencies.of(
        columns["arrival_s"],
        columns["first_token_s"],
        columns["finish_s"],
        columns["output_tokens"].astype(np.int64),
    )
    return MeasuredRun(name, first.text("model"), gamma, alpha or 0.0, rows, latencies)


def _times(line: Line) -> Mapping[str, float]:
    row: dict[str, float] = {}
    for column in COLUMNS[3:]:
        whole = column.endswith("_tokens")
        value = line.count(column, 1) if whole else line.number_of(column)
        if value is None:
            raise line.refuse(f"{column} is missing.")
        row[column] = float(value)
    if row["arrival_s"] < 0:
        raise line.refuse(f"arrival_s is {row['arrival_s']:g}; times start at 0.")
    if not row["arrival_s"] < row["first_token_s"] <= row["finish_s"]:
        raise line.refuse(
            f"arrival, first token and finish are {row['arrival_s']:g}, {row['first_token_s']:g} "
            f"and {row['finish_s']:g} s; they must follow each other."
        )
    return row
