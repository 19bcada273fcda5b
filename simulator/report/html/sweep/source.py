"""What the folder of a sweep holds: its axes, and the figures of its points that a page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import DataError
from simulator.report.sweep import ranked_by
from simulator.study.sweep.layout import label_of
from simulator.study.sweep.reading import DONE, FAILED, read_points, read_state
from simulator.trace.schema import ARMS

Row = Mapping[str, Any]

SPOKEN = {"tpot_p50": "median time per output token", "throughput": "output tokens per second"}
"""What the speedups that rank points are speedups of."""

_RATIOS = ("tpot_p50", "throughput", "ttft_p50", "goodput")
_OF_ARMS = (
    "tpot_s.p50",
    "ttft_s.p50",
    "ttft_s.p90",
    "output_tokens_per_s",
    "goodput_per_s",
    "attainment",
    "mean_batch",
    "mean_acceptance_length",
)
_SCENARIO = ("title", "model", "hardware", "workload", "speculation", "requests", "replications")

COLUMNS = (
    *(f"speedup.{name}.{part}" for name in _RATIOS for part in ("value", "low", "high")),
    *(f"{arm}.{name}" for arm in ARMS for name in _OF_ARMS),
    *(f"scenario.{name}" for name in (*_SCENARIO, "seed")),
    "target_efficiency",
    "assumptions",
    "warnings",
)
"""The figures that are read; a sweep has hundreds."""


@dataclass(frozen=True, slots=True)
class SweepSource:
    """A sweep as its folder tells it.

    Parameters
    ----------
    folder
        The folder.
    state
        Its ``sweep.json``.
    rows
        The points that are there, in the order of the grid: axes, ``status``, ``reason``, and
        those of `COLUMNS` that any point has.
    """

    folder: Path
    state: Mapping[str, Any]
    rows: Sequence[Row]

    @property
    def axes(self) -> Mapping[str, Sequence[Any]]:
        """Values of every axis by its name."""
        axes: Mapping[str, Sequence[Any]] = self.state["axes"]
        return axes

    @property
    def done(self) -> list[Row]:
        """The points that ran."""
        return [row for row in self.rows if row["status"] == DONE]

    @property
    def failed(self) -> list[Row]:
        """The points that could not."""
        return [row for row in self.rows if row["status"] == FAILED]

    @property
    def rank(self) -> str:
        """The speedup that points are compared by: a key of `SPOKEN`."""
        return ranked_by(self.done)

    @property
    def words(self) -> list[str]:
        """The words of the command line that asked for it."""
        swept = [f"{axis}={','.join(map(label_of, values))}" for axis, values in self.axes.items()]
        return [*self.state.get("overrides", []), *swept]

    def common(self, column: str) -> str | None:
        """Return what all points that ran have in a column; None where they differ."""
        found = {row.get(f"scenario.{column}") for row in self.done}
        return str(found.pop()) if len(found) == 1 and None not in found else None

    def sentences(self, column: str) -> list[str]:
        """Return the lines of a column of texts, with the share of points where not all have one.

        The most common come first.
        """
        counts = Counter(
            line for row in self.done for line in (row.get(column) or "").split("\n") if line
        )
        points = len(self.done)
        return [
            line if count == points else f"{line} (at {count} of {points} points)"
            for line, count in counts.most_common()
        ]


def read_sweep(folder: Path) -> SweepSource:
    """Read the folder of a sweep, also of one that is not done.

    Raises
    ------
    DataError
        If no point of it is there yet.
    ConfigError
        If ``sweep.json`` or the file of a point cannot be read.
    """
    rows = read_points(folder, COLUMNS).to_pylist()
    if not rows:
        raise DataError(
            f"{str(folder)!r} has no point of its sweep yet. Give its command again and let it run."
        )
    return SweepSource(folder, read_state(folder) or {}, rows)


def short_names(axes: Sequence[str]) -> dict[str, str]:
    """Name axes by the last part of their names where that tells them apart.

    Examples
    --------
    >>> short_names(["workload.rate", "speculation.gamma"])
    {'workload.rate': 'rate', 'speculation.gamma': 'gamma'}
    """
    last = [axis.rpartition(".")[2] for axis in axes]
    return {
        axis: name if last.count(name) == 1 else axis for name, axis in zip(last, axes, strict=True)
    }


def interval_of(row: Row, rank: str) -> dict[str, float | None]:
    """Return the speedup of a point with its bounds."""
    return {part: row.get(f"speedup.{rank}.{part}") for part in ("value", "low", "high")}
