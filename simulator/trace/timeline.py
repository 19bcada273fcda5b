"""Queue, batch and KV cache over the time of a run, averaged in equal bins.

One pass over the iterations; memory does not grow with the trace. A replica that has no iteration
is idle: nothing waits at it or decodes on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.trace.read import Columns, Run, chunks

BUSY_S = 1e-6
"""Busy time of a bin from which on it has an average, s: sums of differences leave rounding."""

Floats = np.ndarray[Any, np.dtype[np.float64]]

_LEVELS: dict[str, Callable[[Columns], Floats]] = {
    "waiting": lambda rows: rows["waiting_requests"].astype(np.float64),
    "decoding": lambda rows: rows["decode_requests"].astype(np.float64),
    "kv_usage": lambda rows: rows["kv_usage"].astype(np.float64),
    "busy": lambda rows: np.ones(len(rows["replica"])),
}
"""What is followed, by name; ``busy`` counts the replicas that run a step."""

_COLUMNS = (
    "replica",
    "start_s",
    "duration_s",
    "decode_requests",
    "waiting_requests",
    "kv_usage",
)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What went on during one run.

    Parameters
    ----------
    edges_s
        Bounds of the bins, s, of shape ``[bins + 1]``; the same for all runs of a trace.
    waiting, decoding
        Requests queued at, and decoding on, all replicas together, time averages of the bins.
    kv_usage
        Share of the KV blocks that are taken, average over the busy time of the replicas, as in the
        metric of that name: those that are not there yet, or idle, do not dilute it. 0 where none
        is busy.
    """

    edges_s: Floats
    waiting: Floats
    decoding: Floats
    kv_usage: Floats


def timelines(iterations_path: Path | str, end_s: float, bins: int) -> dict[Run, Timeline]:
    """Average the occupancy of every run in bins.

    Parameters
    ----------
    iterations_path
        The iterations of a trace.
    end_s
        End of the last bin, s; the first begins at 0.
    bins
        How many, at least 1.

    Raises
    ------
    DataError
        If the file is not a trace of iterations.
    """
    sums: dict[Run, dict[str, Floats]] = {}
    for run, rows in chunks(iterations_path, "iterations", _COLUMNS):
        found = sums.setdefault(run, {name: np.zeros(bins) for name in _LEVELS})
        start_s = rows["start_s"]
        for name, level in _LEVELS.items():
            values = level(rows)
            found[name] += _until(start_s + rows["duration_s"], values, end_s, bins)
            found[name] -= _until(start_s, values, end_s, bins)
    edges_s = np.linspace(0.0, end_s, bins + 1)
    width_s = end_s / bins
    return {
        run: Timeline(
            edges_s,
            waiting=found["waiting"] / width_s,
            decoding=found["decoding"] / width_s,
            kv_usage=_over_busy(found["kv_usage"], found["busy"]),
        )
        for run, found in sums.items()
    }


def _over_busy(integral: Floats, busy_s: Floats) -> Floats:
    """Average over busy time; what is left of one after rounding counts as idle."""
    busy = busy_s > BUSY_S
    return np.divide(integral, busy_s, out=np.zeros_like(integral), where=busy)


def _until(times_s: Floats, values: Floats, end_s: float, bins: int) -> Floats:
    """Integrate steps that reach from before 0 to each time, bin by bin.

    The difference of two calls, at the ends and at the starts of intervals, is the integral over
    the intervals, however many bins one spans. O(times + bins).

    Examples
    --------
    >>> _until(np.array([2.5]), np.array([2.0]), end_s=4.0, bins=4).tolist()
    [2.0, 2.0, 1.0, 0.0]
    """
    width_s = end_s / bins
    position = np.clip(times_s / width_s, 0.0, bins)
    index = np.minimum(position.astype(np.int64), bins - 1)
    partial = np.bincount(index, values * (position - index), minlength=bins)
    reaching = np.bincount(index, values, minlength=bins)
    beyond = reaching[::-1].cumsum()[::-1] - reaching
    integral_s: Floats = np.asarray((partial + beyond) * width_s, dtype=np.float64)
    return integral_s
