"""Steps replayed through an expert store, outside the simulator: coverage, misses, stalls."""

from __future__ import annotations

from collections.abc import Sequence
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
    prefetched
        Experts brought beforehand for a step and layer, needed or not.
    distinct
        Distinct experts that a step needs of a layer.
    """

    coverage: float
    no_stall: float
    misses: float
    prefetched: float
    distinct: float


class Asked:
    """A prefetcher for a replay, whose scores were computed before.

    Parameters
    ----------
    needed
        Scores of each step, shape (layers, E).
    """

    def __init__(self, needed: Sequence[Floats]) -> None:
        self._needed, self._step = needed, 0

    def scores(self, before: NDArray[np.integer], drafts: Floats) -> Floats:
        """Return the scores of the next step (`Prefetcher.scores`)."""
        del before, drafts
        self._step += 1
        return self._needed[self._step - 1]


class Arm(NamedTuple):
    """Who fills the slots of a replay.

    Parameters
    ----------
    predictor
        Ranks what is prefetched.
    oracle
        Whether what a step needs is known: what no predictor can beat. Neither this nor a
        predictor: all room is for the last used, on demand.
    """

    predictor: ExpertPredictor | None = None
    oracle: bool = False


def replay(pool: RoutePool, copies: Ints, tokens: int, room: Room, arm: Arm) -> Replayed:
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
    arm
        Who fills the slots.
    """
    rows = windows(pool, tokens)
    chosen = pool.chosen[:, rows].reshape(pool.layers, len(rows), -1)
    scores = _scores(pool, rows, arm)
    if scores is None:
        store = ExpertStore(most_used(copies, sum(room)), LRU)
    else:
        resident, asked = most_used(copies, room.resident), Asked(scores)
        store = ExpertStore(resident, LRU, prefetcher=asked, prefetch_slots=room.slots)
    steps = [store.step(chosen[:, step]) for step in range(len(rows))]
    missing = np.stack([step.missing for step in steps])
    distinct = np.stack([step.distinct for step in steps])
    misses, needed = float(missing.mean()), float(distinct.mean())
    return Replayed(
        coverage=1.0 - misses / needed,
        no_stall=float((missing == 0).mean()),
        misses=misses,
        prefetched=float(np.mean([step.prefetched for step in steps])),
        distinct=needed,
    )


def _scores(pool: RoutePool, rows: Ints, arm: Arm) -> list[Floats] | None:
    """Return the scores of every step; None where nothing is prefetched."""
    if arm.oracle:
        members = memberships(pool)
        return [members[row].any(axis=0).astype(np.float64) for row in rows]
    if arm.predictor is None:
        return None
    features = arm.predictor.features_of(pool)
    return [arm.predictor.needed(features[row]) for row in rows]


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
        Its chances are ranked. (Logits would not do: those of a network that was trained by
        cross-entropy are free up to a constant of each token.)

    Returns
    -------
    dict of str to float
        Mean areas under the ROC curve of experts of each group, over all layers; NaN for none.
    """
    shape = (-1, pool.layers * pool.experts)
    chances = predictor.chances(predictor.features_of(pool))
    areas = class_aucs(chances.reshape(shape), memberships(pool).reshape(shape))
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
