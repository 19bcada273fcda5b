"""What came out of a sweep, on the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.figures import bounds, factor, number
from simulator.report.tables import frame, say
from simulator.study.sweep.layout import label_of
from simulator.study.sweep.reading import DONE, FAILED

RANKS = ("tpot_p50", "throughput")
"""Speedups by which points are ranked: the first that any point has."""

FIGURES = (
    *(f"speedup.{name}.{part}" for name in RANKS for part in ("value", "low", "high")),
    "speedup.ttft_p50.value",
    "speculative.output_tokens_per_s",
    "speculative.mean_acceptance_length",
)
"""Figures that the table shows."""

BEST = 10
"""Points that are shown, best first."""

_REASONS, _EXAMPLES = 5, 3

Row = Mapping[str, Any]


def print_sweep(rows: Sequence[Row], axes: Sequence[str], console: Console) -> None:
    """Print the best points, how many gain, and the failed ones with their reasons.

    Parameters
    ----------
    rows
        A point each: axes, ``status``, ``reason`` and `FIGURES`.
    axes
        Names of the axes.
    console
        Where to print.
    """
    done = [row for row in rows if row["status"] == DONE]
    rank = ranked_by(done)
    if done:
        best = sorted(done, key=lambda row: _gain(row, rank), reverse=True)
        console.print(_table(best[:BEST], axes, rank, len(done)))
        say(console, *_verdict(done, rank))
    failures = [row for row in rows if row["status"] == FAILED]
    if failures:
        say(console, *_failures(failures, axes))


def ranked_by(rows: Sequence[Row]) -> str:
    """Return the speedup that ranks points: throughput where latencies are withheld everywhere."""
    return next((name for name in RANKS if any(_value(row, name) for row in rows)), RANKS[0])


def best_of(rows: Sequence[Row]) -> Row | None:
    """Return the point with the largest speedup; None if there is none."""
    done = [row for row in rows if row["status"] == DONE]
    rank = ranked_by(done)
    return max(done, key=lambda row: _gain(row, rank), default=None)


def _value(row: Row, name: str) -> float | None:
    value: float | None = row.get(f"speedup.{name}.value")
    return value


def _gain(row: Row, name: str) -> float:
    return _value(row, name) or 0.0


def _table(rows: Sequence[Row], axes: Sequence[str], rank: str, points: int) -> Table:
    shown = f"The best {len(rows)} of {points} points" if len(rows) < points else "All points"
    title = f"{shown}, by the speedup of {_SPOKEN[rank]}"
    headings = ("speedup>", "95 % interval>", "TTFT p50>", "tokens/s>", "accepted>", "point")
    table = frame(*headings, title=title, tight=True, unbroken=len(headings) - 1)
    table.columns[-1].overflow = "fold"
    names = _short(axes)
    for row in rows:
        table.add_row(
            factor(_value(row, rank)),
            bounds({part: row.get(f"speedup.{rank}.{part}") for part in ("low", "high")}),
            factor(_value(row, "ttft_p50")),
            number(row.get("speculative.output_tokens_per_s")),
            number(row.get("speculative.mean_acceptance_length")),
            Text(_words(row, names)),
        )
    return table


def _short(axes: Sequence[str]) -> dict[str, str]:
    """Name axes by the last part of their names where that tells them apart."""
    last = [axis.rpartition(".")[2] for axis in axes]
    return {
        axis: name if last.count(name) == 1 else axis for name, axis in zip(last, axes, strict=True)
    }


def _words(row: Row, names: Mapping[str, str]) -> str:
    """Write a point as words, by the names of its axes."""
    return " ".join(f"{name}={label_of(row[axis])}" for axis, name in names.items())


_SPOKEN = {"tpot_p50": "the median time per output token", "throughput": "output tokens per second"}


def _verdict(rows: Sequence[Row], rank: str) -> list[str]:
    """Say at how many points speculation pays, beyond chance where there are intervals."""
    lows = [row.get(f"speedup.{rank}.low") for row in rows]
    highs = [row.get(f"speedup.{rank}.high") for row in rows]
    better = sum(low is not None and low > 1 for low in lows)
    worse = sum(high is not None and high < 1 for high in highs)
    explained = (
        "speedup and TTFT p50: times without over times with speculation; tokens/s and accepted, "
        "tokens per round: with it."
    )
    if not any(low is not None for low in lows):
        gaining = sum(_gain(row, rank) > 1 for row in rows)
        pays = f"Speculation gains at {gaining} of {len(rows)} points; one replication has no "
        return [explained, f"{pays}interval. More: run.replications=5."]
    pays = f"Speculation pays at {better} of {len(rows)} points, costs at {worse}"
    if better + worse == len(rows):
        return [explained, f"{pays}."]
    return [explained, f"{pays}; at the others 1 lies in the interval, or there is none."]


def _failures(rows: Sequence[Row], axes: Sequence[str]) -> list[str]:
    """Say which points failed, one paragraph a reason."""
    by_reason: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_reason[row["reason"]].append(row)
    names = {axis: axis for axis in axes}
    lines = [f"{len(rows)} {'point' if len(rows) == 1 else 'points'} failed:"]
    for reason, alike in list(by_reason.items())[:_REASONS]:
        lines += [f"  {_words(row, names)}" for row in alike[:_EXAMPLES]]
        if len(alike) > _EXAMPLES:
            lines.append(f"  and {len(alike) - _EXAMPLES} more")
        lines.append(f"    {reason}")
    if len(by_reason) > _REASONS:
        lines.append(f"  and for {len(by_reason) - _REASONS} more reasons; see the column reason.")
    return lines
