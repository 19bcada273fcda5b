"""Whether a run kept up with its load: stable, backlogged or overloaded, and by which signal.

- *overloaded*: the queue grows until the last arrival (:mod:`simulator.trace.saturation`), or more
  than ``SHED`` of the requests are turned away at it, rejected or timed out;
- *backlogged*: not overloaded, but for more than ``STRETCH`` of the window more requests wait at a
  replica than decode on average (and more than ``MIN_WAITING``): arrivals exceed capacity for a
  stretch, or a closed loop has more users than the batch holds;
- *stable*: neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.trace.load import Load
from simulator.trace.saturation import MIN_WAITING, is_saturated

STABLE, BACKLOGGED, OVERLOADED = "stable", "backlogged", "overloaded"
LABELS = (STABLE, BACKLOGGED, OVERLOADED)
"""The verdicts, the worse the later."""

SHED = 0.05
"""Share of requests turned away. Assumed: fewer is what a queue limit is for."""

STRETCH = 0.05
"""Share of the window. Assumed: a twentieth of an hour is a queue that people notice."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run kept up.

    Parameters
    ----------
    label
        One of `LABELS`.
    signal
        What decided, with its figure, in words.
    saturated
        Whether the queue grew to the end, so that TTFT and E2E latency measure the length of the
        run.
    """

    label: str
    signal: str
    saturated: bool = False


def judge(load: Load, turned_away: float) -> Verdict:
    """Judge a run.

    Parameters
    ----------
    load
        What its replicas did.
    turned_away
        Share of the requests that were rejected at the queue or timed out in it.
    """
    if is_saturated(load):
        grown = f"grew from {load.waiting(0):.3g} to {load.waiting(3):.3g} requests"
        drain = f"took {load.window.drain_s:.3g} s to empty after the last arrival"
        return Verdict(OVERLOADED, f"the queue of a replica {grown} and {drain}", saturated=True)
    if turned_away > SHED:
        return Verdict(OVERLOADED, f"{turned_away:.1%} of the requests were turned away")
    share = load.waiting_beyond(max(MIN_WAITING, load.mean_batch or 0.0)) or 0.0
    signal = f"for {share:.1%} of the time more requests waited at a replica than decoded"
    return Verdict(BACKLOGGED if share > STRETCH else STABLE, signal)


def joint(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of an arm: the worst that at least half of its runs reach.

    A replication may pass a threshold by chance; half of them do not.

    Examples
    --------
    >>> runs = [Verdict("stable", "a"), Verdict("overloaded", "b"), Verdict("backlogged", "c")]
    >>> joint(runs).label
    'backlogged'
    """
    ranks = sorted((LABELS.index(run.label) for run in verdicts), reverse=True)
    if not ranks:
        return Verdict(STABLE, "nothing ran")
    label = LABELS[ranks[(len(ranks) + 1) // 2 - 1]]
    deciding = next(run for run in verdicts if run.label == label)
    saturated = 2 * sum(run.saturated for run in verdicts) >= len(verdicts)
    return Verdict(label, deciding.signal, saturated)
