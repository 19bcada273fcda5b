r"""When a slot for experts serves better prefetched than kept: the odds in closed form.

S slots of a layer may hold what a predictor brings, or what was used last beside the C experts that
stay anyway. Brought experts are needed with chance q. Kept ones are with chance

``h = (M(C) - M(C + S)) / S``,

M(n) the experts that a step finds missing where the last n used stay. Both are counted along routes
(`count_hits`). In closed form, M follows from the chances of experts by Che's approximation
(`experts.residency`), steps independent of each other; with experts that are all alike h is N / E:
the N distinct experts of a step, over all E. A share w of
the time of prefetches is not hidden. The first layer waits for its own in any case, and where the
link is busy for longer than the layers, the step waits for the link:

``w = max(1 / L, 1 - (1 - 1 / L) T / (L S t))``,

t the time of an expert on the link, T that of a step of L layers without transfers. (This is
`costs.offload.ExpertTransfers.stall_s` over ``L S t``, with all slots filled.) Prefetching pays
where

``q - h > w``.

N grows with the tokens of a step, ``B (gamma + 1)``. As ``N -> E`` h goes to one, and no predictor
is of use, not even one that never errs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.experts.config import LRU
from simulator.experts.offload import ExpertStore, most_used
from simulator.experts.pool import PoolWalk, RoutePool
from simulator.experts.predictor import ExpertPredictor
from simulator.experts.residency import lru_misses
from simulator.experts.unions import touched
from simulator.streams import Streams
from simulator.study.prefetch.replay import Asked, Room, windows

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STEPS, WARM = 60, 15
"""Steps that hits of prefetches are counted in, and those before that fill the room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """What decides at a batch whether prefetching pays.

    Parameters
    ----------
    batch
        Requests B of a step.
    distinct
        N, distinct experts that a step needs of a layer, popularity counted on the routes.
    alike
        N if all experts were alike.
    kept
        h, counted.
    independent
        h in closed form, steps independent of each other, popularity counted.
    exposed
        w.
    hits
        q by arm.
    """

    batch: int
    distinct: float
    alike: float
    kept: float
    independent: float
    exposed: float
    hits: dict[str, float]

    def margin(self, arm: str) -> float:
        """Return ``q - h - w`` of an arm: above zero, prefetching pays."""
        return self.hits[arm] - self.kept - self.exposed


def distinct_alike(experts: int, top_k: int, tokens: int) -> float:
    """Return N of tokens that pick K of E experts, all alike: ``E (1 - (1 - K / E)^tokens)``.

    Examples
    --------
    >>> round(distinct_alike(experts=32, top_k=4, tokens=16), 1)
    28.2
    """
    return experts * (1.0 - (1.0 - top_k / experts) ** tokens)


def step_chances(pool: RoutePool, tokens: int, batch: int) -> Floats:
    """Return the chance that a step needs each expert, shape (layers, E).

    Parameters
    ----------
    pool
        Routes on which is counted what so many tokens of one request touch.
    tokens
        Tokens of a request.
    batch
        Requests, independent of each other: ``1 - (1 - P)^B``.
    """
    one = touched(pool, windows(pool, tokens)[:, 0], tokens)
    chances: Floats = 1.0 - (1.0 - one) ** batch
    return chances


def kept_hits(chances: Floats, room: Room) -> float:
    """Return h in closed form: the chance that what S more slots keep is needed.

    Examples
    --------
    Of experts that are all alike it is their chance to be needed.

    >>> round(kept_hits(np.full((1, 32), 0.25), Room(resident=8, slots=4)), 6)
    0.25
    """
    few, more = (float(lru_misses(chances, count)) for count in (room.resident, sum(room)))
    return (few - more) / room.slots


def exposed_share(layers: int, slots: int, expert_s: float, step_s: float) -> float:
    """Return w: the share of the time of prefetches that a step waits for.

    Parameters
    ----------
    layers, slots
        L, and S experts brought for each.
    expert_s, step_s
        t, and T.

    Examples
    --------
    >>> [round(exposed_share(24, 4, 0.1e-3, step_s), 3) for step_s in (0.02, 0.0024, 0.0)]
    [0.042, 0.76, 1.0]
    """
    shares = 1.0 / layers, 1.0 - (1.0 - 1.0 / layers) * step_s / (layers * slots * expert_s)
    return max(shares)


class Hits(NamedTuple):
    """What is counted along routes at a batch: h, and q by arm."""

    kept: float
    prefetched: dict[str, float]


def count_hits(
    pool: RoutePool,
    copies: Ints,
    tokens: int,
    room: Room,
    predictors: Mapping[str, ExpertPredictor],
    batch: int,
) -> Hits:
    """Count how often what slots hold is needed, kept or prefetched.

    Parameters
    ----------
    pool
        Routes along which the requests of a step walk.
    copies
        Whose most popular experts are resident at first, shape (layers, E).
    tokens, batch
        Tokens of a request in a step, and requests.
    room
        What a layer has room for.
    predictors
        Who is asked, by arm; their switches are not.

    Notes
    -----
    What is needed comes to stay, prefetched or not. So a store that prefetches keeps what one on
    demand of the same C keeps, and its hits are the misses that it has less.
    """
    walk = PoolWalk(pool, Streams(0))
    features = {arm: one.features_of(pool) for arm, one in predictors.items()}
    chosen, needed = [], dict[str, list[Floats]]({arm: [] for arm in predictors})
    for _ in range(WARM + STEPS):
        chosen.append(walk.step(batch, tokens, 0))
        for arm, predictor in predictors.items():
            needed[arm].append(predictor.needed(features[arm][walk.rows]))
    few, more = (ExpertStore(most_used(copies, count), LRU) for count in (room.resident, sum(room)))
    base = _missing(few, chosen)
    prefetched = {}
    for arm, scores in needed.items():
        resident, asked = most_used(copies, room.resident), Asked(scores)
        store = ExpertStore(resident, LRU, prefetcher=asked, prefetch_slots=room.slots)
        prefetched[arm] = (base - _missing(store, chosen)) / room.slots
    return Hits((base - _missing(more, chosen)) / room.slots, prefetched)


def _missing(store: ExpertStore, chosen: Sequence[NDArray[np.integer]]) -> float:
    """Return the missing experts of a step and layer, once a store is warm."""
    return float(np.mean([store.step(one).missing for one in chosen][WARM:]))


def foretold(margins: Sequence[float], batches: Sequence[int]) -> float | None:
    """Return the batch from which on margins are not above zero; None: they are to the end.

    Parameters
    ----------
    margins
        By batch; between two, on the line over the logarithm of the batch.
    batches
        Rising.

    Examples
    --------
    >>> foretold([0.3, 0.1, -0.1], [1, 4, 16])
    8.0
    >>> foretold([-0.1, -0.2], [1, 4]), foretold([0.2, 0.1], [1, 4])
    (1.0, None)
    """
    paying = [index for index, margin in enumerate(margins) if margin > 0.0]
    if not paying:
        return float(batches[0])
    last = paying[-1]
    if last == len(margins) - 1:
        return None
    share = margins[last] / (margins[last] - margins[last + 1])
    return float(batches[last] * (batches[last + 1] / batches[last]) ** share)
