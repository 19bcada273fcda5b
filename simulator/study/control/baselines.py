"""Rules that a server could follow without learning, their long-run rewards known exactly.

All of them act on telemetry that is one interval old, as the learners do. Each is a controller with
finite memory, so that together with the process it is a Markov chain. Their settings are the best
there are *on the true process*: known only afterwards, and so generous to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.control.controllers import Controller, constant, last_observation
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.population import average_reward
from simulator.study.control.surrogate import ACCEPTANCE_BUCKETS, Surrogate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEVELS = 17
"""Levels of smoothed acceptance that a rule tells apart, from none to all."""

_WEIGHTS = (0.25, 0.5, 1.0)
"""Weights of the last interval in smoothed acceptance; below, levels are too coarse to move."""

_THRESHOLDS = 8
"""Thresholds on smoothed acceptance that are tried, evenly spaced."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A rule and what it earns.

    Parameters
    ----------
    name
        ``gamma 3``, ``batch_schedule``, ``threshold`` or ``cost_model``.
    how
        Its settings in words.
    gain
        Average reward an interval in the long run.
    """

    name: str
    how: str
    gain: float

    @property
    def fixed(self) -> bool:
        """Whether it always drafts as much."""
        return self.name.startswith("gamma ")


def baselines(found: Surrogate) -> list[Baseline]:
    """Return every fixed draft length, and the best rule of each kind."""
    pomdp, gammas = found.pomdp, found.instance.gammas
    fixed = [
        Baseline(f"gamma {gamma}", "always", average_reward(pomdp, held))
        for gamma, held in zip(
            gammas,
            (constant(a, pomdp.actions, pomdp.symbols) for a in range(pomdp.actions)),
            strict=True,
        )
    ]
    kinds = {
        "batch_schedule": batch_tables(found),
        "threshold": thresholds(found),
        "cost_model": cost_models(found),
    }
    return [*fixed, *(_best(pomdp, name, rules) for name, rules in kinds.items())]


def _best(pomdp: Pomdp, name: str, rules: Iterator[tuple[str, Controller]]) -> Baseline:
    paid = [Baseline(name, how, average_reward(pomdp, rule)) for how, rule in rules]
    return max(paid, key=lambda one: one.gain)


def batch_tables(found: Surrogate) -> Iterator[tuple[str, Controller]]:
    """Yield every table from the bucket of the backlog to a draft length.

    vLLM's ``num_speculative_tokens_per_batch_size`` is one.
    """
    actions, buckets, gammas = found.pomdp.actions, found.buckets, found.instance.gammas
    for choice in product(range(actions), repeat=buckets):
        rows = np.eye(actions)[np.tile(choice, ACCEPTANCE_BUCKETS)]
        how = ", ".join(
            f"{bucket} requests: {gammas[action]}"
            for bucket, action in zip(found.bucket_names, choice, strict=True)
        )
        yield how, last_observation(rows)


def thresholds(found: Surrogate) -> Iterator[tuple[str, Controller]]:
    """Yield rules that draft long while smoothed acceptance is at a threshold, and else short."""
    gammas = found.instance.gammas
    tried = np.linspace(0.0, 1.0, _THRESHOLDS + 2)[1:-1]
    pairs = [(a, b) for a in range(len(gammas)) for b in range(len(gammas)) if a < b]
    for weight, threshold, (short, long) in product(_WEIGHTS, tried, pairs):
        levels = np.where(np.linspace(0.0, 1.0, _LEVELS) >= threshold, long, short)
        how = (
            f"{gammas[long]} where smoothed acceptance is {_acceptance(found, threshold):.2f} or "
            f"more, else {gammas[short]}; weight of the last interval {weight:g}"
        )
        yield how, _smoothed(found, weight, levels[:, None])


def cost_models(found: Surrogate) -> Iterator[tuple[str, Controller]]:
    """Yield rules that take what drains the backlog fastest at the smoothed acceptance.

    Drain rates lie between those of the phases in proportion to acceptance, at the number of
    requests that is most common in the bucket seen last.
    """
    leaving = found.drains.leaving_per_s
    hard_share = np.linspace(1.0, 0.0, _LEVELS)
    at = [_middle(found, bucket) for bucket in range(found.buckets)]
    rates = leaving[:, 0, at] * (1.0 - hard_share[:, None, None]) + (
        leaving[:, 1, at] * hard_share[:, None, None]
    )
    for weight in _WEIGHTS:
        yield (
            f"weight of the last interval {weight:g}",
            _smoothed(found, weight, rates.argmax(axis=1)),
        )


def _smoothed(found: Surrogate, weight: float, actions: Ints) -> Controller:
    """Return a controller on exponentially smoothed acceptance and the last bucket of the backlog.

    Parameters
    ----------
    found
        Whose observations it sees.
    weight
        Of the last interval.
    actions
        Action by level and bucket, int64[levels, B]; or int64[levels, 1], whatever the bucket.
    """
    levels, buckets = actions.shape
    symbols, count = found.pomdp.symbols, found.pomdp.actions
    seen, bucket = np.divmod(np.arange(symbols), found.buckets)
    bucket = np.minimum(bucket, buckets - 1)
    target = seen / (ACCEPTANCE_BUCKETS - 1) * (levels - 1)
    level = np.arange(levels)[:, None]
    moved = np.rint(level + weight * (target - level)).astype(np.int64)
    following = moved * buckets + bucket  # by level and observation
    successor = np.repeat(np.repeat(following, buckets, axis=0)[:, None, :], count, axis=1)
    choice = np.eye(count)[actions.ravel()]
    return Controller(np.repeat(choice[:, None, :], symbols, axis=1), successor)


def _acceptance(found: Surrogate, level: float) -> float:
    """Return the acceptance that a level of 0 to 1 stands for, from hard to easy."""
    phases = found.config.speculation.phases
    if phases is None:
        return level
    return phases.alpha_hard + level * (phases.alpha_easy - phases.alpha_hard)


def _middle(found: Surrogate, bucket: int) -> int:
    """Return where in ``leaving_per_s`` the middle of a bucket stands; the last one's is its first.

    Of the last bucket, which has no upper edge, that is a full batch.
    """
    edges = found.backlog_edges
    first = edges[bucket - 1] + 1 if bucket else 1
    last = edges[bucket] if bucket < len(edges) else first
    return max((first + last) // 2, 1) - 1
