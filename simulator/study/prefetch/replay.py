"""Steps replayed through an expert store, outside the simulator: coverage, misses, stalls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.experts.config import LRU
from simulator.experts.drafts import memberships
from simulator.experts.offload import ExpertStore, most_used
from simulator.experts.pool import RoutePool
from simulator.experts.predictor import ExpertPredictor
from simulator.study.prefetch.auc import class_aucs
from simulator.study.prefetch.training import HEAD_SHARE, tail_classes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Room(NamedTuple):
    """What a layer has room for.

    Parameters
    ----------
    resident
        Experts C that stay, the last used.
    slots
        Experts S that are prefetched for a step.
    """

    resident: int
    slots: int


class Replayed(NamedTuple):
    """What a predictor is worth on some traffic.

    Parameters
    ----------
    coverage
        Share of the experts that steps need which are there when their layer runs.
    no_stall
        Share of steps, layer by layer, that miss nothing.
    misses
        Missing experts of a step and layer.
    distinct
        Distinct experts that a step needs of a layer.
    """

    coverage: float
    no_stall: float
    misses: float
    distinct: float


class _Asked:
    """A prefetcher for a replay: scores are computed for all steps at once."""

    def __init__(self, needed: Floats) -> None:
        self._needed, self._step = needed, 0

    def scores(self, before: NDArray[np.integer], drafts: Floats) -> Floats:
        """Return the scores of the next step (`Prefetcher.scores`)."""
        del before, drafts
        self._step += 1
        scores: Floats = self._needed[self._step - 1]
        return scores


def replay(
    pool: RoutePool, copies: Ints, tokens: int, room: Room, predictor: ExpertPredictor | None
) -> Replayed:
    """Serve the sequences of a pool one after another, so many tokens a step.

    Parameters
    ----------
    pool
        Routes.
    copies
        Whose most popular experts are resident at first, shape (layers, E).
    tokens
        Tokens of a step: the draft tokens and the one before.
    room
        What a layer has room for.
    predictor
        Ranks what is prefetched; None: all room is for the last used, on demand.
    """
    rows = windows(pool, tokens)
    chosen = pool.chosen[:, rows].reshape(pool.layers, len(rows), -1)
    if predictor is None:
        store = ExpertStore(most_used(copies, room.resident + room.slots), LRU)
    else:
        features = predictor.features_of(pool)
        asked = _Asked(np.stack([predictor.needed(features[row]) for row in rows]))
        resident = most_used(copies, room.resident)
        store = ExpertStore(resident, LRU, prefetcher=asked, prefetch_slots=room.slots)
    steps = [store.step(chosen[:, step]) for step in range(len(rows))]
    missing = np.stack([step.missing for step in steps])
    distinct = np.stack([step.distinct for step in steps])
    misses, needed = float(missing.mean()), float(distinct.mean())
    return Replayed(
        coverage=1.0 - misses / needed,
        no_stall=float((missing == 0).mean()),
        misses=misses,
        distinct=needed,
    )


def windows(pool: RoutePool, tokens: int) -> Ints:
    """Return the tokens of the pool that each step has, shape (steps, tokens).

    Sequences follow each other; what is left of one, less than a step, is left out.
    """
    starts = [
        start + np.arange(length // tokens)[:, None] * tokens
        for start, length in zip(pool.starts, pool.lengths, strict=True)
    ]
    return np.concatenate(starts) + np.arange(tokens)


def ranking(pool: RoutePool, copies: Ints, predictor: ExpertPredictor) -> dict[str, float]:
    """Return how well a predictor ranks tokens for head, mid and tail experts.

    Parameters
    ----------
    pool
        Routes of the tokens.
    copies
        What says which experts are frequent: head is the first quarter, tail the rarest half.
    predictor
        Its logits are ranked.

    Returns
    -------
    dict of str to float
        Mean areas under the ROC curve of experts of each group, over all layers; NaN for none.
    """
    shape = (-1, pool.layers * pool.experts)
    logits = predictor.logits(predictor.features_of(pool))
    areas = class_aucs(logits.reshape(shape), memberships(pool).reshape(shape))
    areas = areas.reshape(pool.layers, pool.experts)
    groups: dict[str, list[Floats]] = {"head": [], "mid": [], "tail": []}
    for row, counts in zip(areas, copies, strict=True):
        tail = np.isin(np.arange(len(row)), tail_classes(counts))
        head = np.zeros_like(tail)
        head[np.argsort(-counts, kind="stable")[: round(HEAD_SHARE * len(row))]] = True
        for name, group in zip(groups, (head, ~head & ~tail & (counts > 0), tail), strict=True):
            groups[name].append(row[group])
    return {name: _mean(np.concatenate(rows)) for name, rows in groups.items()}


def _mean(areas: Floats) -> float:
    known = areas[~np.isnan(areas)]
    return float(known.mean()) if known.size else float("nan")
