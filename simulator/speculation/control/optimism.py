"""The most rewarding model that data allow, and its best policy.

The paper asks for the model and the policy of largest gain in the confidence set. As in its
experiments some models are sampled from the set, each is planned for, and the best plan is kept.
The estimate itself is always among them.
"""

from __future__ import annotations

import numpy as np

from simulator.speculation.control.bounds import ErrorBounds
from simulator.speculation.control.estimate import Estimate
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.planning import Plan, plan
from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.spectral import distributions


def optimistic_plan(
    found: Estimate,
    rewards: Array,
    grid: BeliefGrid,
    radii: ErrorBounds,
    models: int,
    generator: np.random.Generator,
) -> Plan:
    """Return the plan of largest gain among sampled models.

    Parameters
    ----------
    found, radii
        Centre and radii of the confidence set.
    rewards
        ``r(o)``, shape [O].
    grid
        To plan on.
    models
        Models sampled beside the estimate; none are where both radii are 0.
    generator
        Of the samples.
    """
    best = plan(Pomdp(found.transitions, found.observations, rewards), grid)
    values = best.values
    for _ in range(models if radii.observations > 0 else 0):
        model = Pomdp(
            np.stack(
                [
                    _moved(matrix, radius, generator)
                    for matrix, radius in zip(found.transitions, radii.transitions, strict=True)
                ]
            ),
            _moved(found.observations, radii.observations, generator),
            rewards,
        )
        other = plan(model, grid, values=values)
        if other.gain > best.gain:
            best = other
    return best


def _moved(rows: Array, radius: float, generator: np.random.Generator) -> Array:
    """Return distributions around others: a step of a uniform length up to the radius, any way."""
    step = generator.standard_normal(rows.shape)
    length = radius * generator.random() / np.linalg.norm(step)
    return distributions((rows + length * step).T).T
