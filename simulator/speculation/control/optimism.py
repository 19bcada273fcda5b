"""The most rewarding model that data allow, and its best policy.

The paper asks for the model and the policy of largest gain in the confidence set. As in its
experiments some models are sampled from the set, each is planned for, and the best plan is kept.
The estimate itself is always among them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.speculation.control.bounds import ErrorBounds
from simulator.speculation.control.estimate import Estimate
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.planning import Plan, plan
from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.spectral import distributions


def plausible_models(
    found: Estimate, rewards: Array, radii: ErrorBounds, count: int, generator: np.random.Generator
) -> Iterator[Pomdp]:
    """Yield the estimate, then models sampled around it.

    Parameters
    ----------
    found, radii
        Centre and radii of the confidence set.
    rewards
        ``r(o)``, shape [O].
    count
        Models beside the estimate; none where the radii are 0.
    generator
        Of the samples.
    """
    yield Pomdp(found.transitions, found.observations, rewards)
    for _ in range(count if radii.observations > 0 else 0):
        pairs = zip(found.transitions, radii.transitions, strict=True)
        yield Pomdp(
            np.stack([_moved(matrix, radius, generator) for matrix, radius in pairs]),
            _moved(found.observations, radii.observations, generator),
            rewards,
        )


def optimistic_plan(models: Iterator[Pomdp], grid: BeliefGrid) -> Plan:
    """Return the plan of largest gain among models; of equal ones the first."""
    best = plan(next(models), grid)
    for model in models:
        other = plan(model, grid, values=best.values)
        if other.gain > best.gain:
            best = other
    return best


def _moved(rows: Array, radius: float, generator: np.random.Generator) -> Array:
    """Return distributions around others: a step of a uniform length up to the radius, any way."""
    step = generator.standard_normal(rows.shape)
    length = radius * generator.random() / np.linalg.norm(step)
    return distributions((rows + length * step).T).T
