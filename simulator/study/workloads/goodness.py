"""How well a fitted preset stands for a recording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.streams import Streams
from simulator.study.workloads.lengths import CountedLengths
from simulator.study.workloads.sample import Sample, until
from simulator.workload.lengths import LengthLaw
from simulator.workload.requests import Workload

COMPARED = {
    "rate": "rate (/s)",
    "count_cv_1_s": "CV of counts in 1 s",
    "count_cv_10_s": "CV of counts in 10 s",
    "count_cv_60_s": "CV of counts in 60 s",
    "prompt_tokens_p50": "prompt p50 (tokens)",
    "prompt_tokens_p90": "prompt p90 (tokens)",
    "prompt_tokens_p99": "prompt p99 (tokens)",
    "output_tokens_p50": "output p50 (tokens)",
    "output_tokens_p90": "output p90 (tokens)",
    "output_tokens_p99": "output p99 (tokens)",
}
"""Figures that a preset must reproduce, and what reports call them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a recording, and its mean over recordings drawn from the fit."""

    name: str
    recorded: float
    drawn: float

    @property
    def deviation(self) -> float:
        """Relative deviation of what is drawn."""
        return self.drawn / self.recorded - 1 if self.recorded else np.nan


def drawn_figures(
    workload: Workload,
    span_s: float,
    recordings: int,
    seed: int,
    advance: Callable[[int], object] = lambda _: None,
) -> dict[str, float]:
    """Return the figures of `Sample.figures`, in the mean of drawn recordings.

    Parameters
    ----------
    workload
        An open loop with requests enough for the span.
    span_s
        Length of each recording, s.
    recordings, seed
        How many, each a replication of this seed.
    advance
        Called with 1 after each recording.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for replication in range(recordings):
        sample = Sample()
        for block in workload.blocks(Streams(seed, replication)):
            sample.add(until(block, span_s))
            if block.arrival_s[-1] > span_s:
                break
        if sample.arrivals.requests > 1:
            for name, value in sample.figures().items():
                values[name].append(value)
        advance(1)
    return {name: float(np.mean(found)) for name, found in values.items()}


def compared(recorded: Sample, drawn: dict[str, float]) -> list[Comparison]:
    """Set the figures of a recording beside those that were drawn."""
    figures = recorded.figures()
    return [Comparison(name, figures[name], drawn[name]) for name in figures if name in drawn]


def ks_distance(law: LengthLaw, lengths: CountedLengths) -> float:
    """Return the Kolmogorov-Smirnov distance: the largest gap between two distributions.

    Both jump at whole tokens only, so that it is found at a length that was counted, or at the
    last one before.

    Examples
    --------
    >>> from simulator.workload.lengths import FixedLength
    >>> counted = CountedLengths()
    >>> counted.add(np.array([5, 7, 7, 9]))
    >>> ks_distance(FixedLength(7), counted)
    0.25
    """
    first, last, _ = lengths.bins()
    _, share = lengths.cdf()
    before = np.concatenate([[0.0], share[:-1]])
    at, just_before = np.abs(law.cdf(last) - share), np.abs(law.cdf(first - 1) - before)
    return float(max(at.max(), just_before.max()))


def ks_between(first: CountedLengths, second: CountedLengths) -> float:
    """Return the Kolmogorov-Smirnov distance between counted lengths."""
    (first_at, first_share), (second_at, second_share) = first.cdf(), second.cdf()
    at = np.union1d(first_at, second_at)

    def share_at(own: np.ndarray, share: np.ndarray) -> np.ndarray:
        return np.concatenate([[0.0], share])[np.searchsorted(own, at, side="right")]

    gap = share_at(first_at, first_share) - share_at(second_at, second_share)
    return float(np.abs(gap).max())
