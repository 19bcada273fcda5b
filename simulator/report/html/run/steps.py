"""What the steps of a run took and yielded at each batch: the simulation beside the closed form.

One pass over the iterations in row groups; memory does not grow with the trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simulator.trace.read import Columns, chunks
from simulator.trace.schema import ARMS

LARGEST_BATCH = 8192
"""Batches above are left out, so that memory is bounded; engines run far smaller ones."""

FEWEST_STEPS = 30
"""Steps of each arm from which on a batch is shown."""

_COLUMNS = (
    "duration_s",
    "decode_requests",
    "query_tokens",
    "prefill_tokens",
    "emitted_tokens",
)

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def _zeros() -> Floats:
    return np.zeros(LARGEST_BATCH + 1)


@dataclass(slots=True)
class Steps:
    """Sums over the steps of one arm that only decode, by batch: arrays ``[LARGEST_BATCH + 1]``.

    ``steps`` counts them, ``time_s`` is their time, ``emitted`` the tokens they yield and
    ``drafted`` the tokens of all drafts.
    """

    steps: Floats = field(default_factory=_zeros)
    time_s: Floats = field(default_factory=_zeros)
    emitted: Floats = field(default_factory=_zeros)
    drafted: Floats = field(default_factory=_zeros)

    def add(self, rows: Columns) -> None:
        """Add iterations. O(rows)."""
        batch = rows["decode_requests"]
        kept = (batch > 0) & (batch <= LARGEST_BATCH) & (rows["prefill_tokens"] == 0)
        batch = batch[kept]
        self.steps += _by_batch(batch, np.ones(len(batch)))
        self.time_s += _by_batch(batch, rows["duration_s"][kept])
        self.emitted += _by_batch(batch, rows["emitted_tokens"][kept])
        self.drafted += _by_batch(batch, batch * (rows["query_tokens"][kept] - 1.0))


def _by_batch(batch: Ints, values: Floats) -> Floats:
    sums: Floats = np.bincount(batch, values, minlength=LARGEST_BATCH + 1).astype(np.float64)
    return sums


def steps_by_batch(iterations_path: Path) -> dict[str, Steps]:
    """Sum up the steps of both arms by batch.

    Raises
    ------
    DataError
        If the file is not a trace of iterations.
    """
    found = {arm: Steps() for arm in ARMS}
    for run, rows in chunks(iterations_path, "iterations", _COLUMNS):
        found[run.arm].add(rows)
    return found


def simulated_speedup(arms: dict[str, Steps], per_octave: int = 2) -> tuple[list[float], Floats]:
    """Return tokens a second with speculation over those without, at equal batch.

    Only batches at which both arms ran often enough count. Close ones are pooled, each weighing as
    many steps as both arms have there.

    Parameters
    ----------
    arms
        Of `steps_by_batch`.
    per_octave
        Points where the batch doubles.

    Returns
    -------
    tuple
        Mean batches and speedups, of equal length.
    """
    off, on = (arms[arm] for arm in ARMS)
    common = np.minimum(off.steps, on.steps)
    batches = np.flatnonzero((common >= FEWEST_STEPS) & (off.emitted > 0) & (on.emitted > 0))
    if not batches.size:
        return [], np.zeros(0)
    rates = [arm.emitted[batches] / arm.time_s[batches] for arm in (off, on)]
    ratios, weights = rates[1] / rates[0], common[batches]
    group = np.floor(np.log2(batches) * per_octave + 1e-9).astype(np.int64)
    weight = np.bincount(group, weights)
    there = weight > 0
    means = [
        np.bincount(group, weights * values)[there] / weight[there] for values in (batches, ratios)
    ]
    return means[0].tolist(), means[1]


def mean_draft_length(steps: Steps) -> tuple[list[int], Floats]:
    """Return batches that ran often enough, and the mean drafted tokens of a request at each."""
    batches = np.flatnonzero(steps.steps >= FEWEST_STEPS)
    rounds = steps.steps[batches] * batches
    return batches.tolist(), steps.drafted[batches] / rounds
