"""Training of a predictor: a network for each layer, of features brought to one scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.experts.drafts import DraftView
from simulator.experts.predictor import ExpertPredictor
from simulator.streams import Streams
from simulator.study.executors.in_order import Workers
from simulator.study.prefetch.bank import Item
from simulator.study.prefetch.losses import Recipe
from simulator.study.prefetch.question import Question
from simulator.study.prefetch.traces import Traces, items_of
from simulator.study.prefetch.training import Effort, Trained, train_on_items

Floats = NDArray[np.float64]

Job = tuple[list[Item], Recipe, Effort, int, int]
"""Sequences of a layer, how they are learned from, the seed, and the number of the layer."""


class TrainedPredictor(NamedTuple):
    """A predictor, and the share of pairs of training batch and tail expert without a token."""

    predictor: ExpertPredictor
    missing_tail: float


def train(
    question: Question, traces: Traces, chosen: Recipe, seed: int, workers: Workers | None = None
) -> TrainedPredictor:
    """Train a predictor layer by layer.

    Parameters
    ----------
    question, traces
        How, and on what.
    chosen
        The recipe.
    seed
        Of the view and of the training.
    workers
        Who does it, a layer at a time; None: this process.

    Notes
    -----
    Features are learned from less their mean and over their deviation, since hidden states come in
    any unit; weights and biases of the first layer take that in.
    """
    pool = traces.learned
    recorded = pool.features is not None
    view = DraftView(question.view_size, question.view_noise, seed)
    if pool.features is not None:
        view = DraftView(pool.features.shape[1], 0.0, seed)
    features = view.features(pool) if pool.features is None else pool.features
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation[deviation <= 1e-9 * np.abs(mean)] = 1.0  # constants, but for rounding
    jobs = [
        (items, chosen, question.effort, seed, layer)
        for layer, items in enumerate(items_of(pool, (features - mean) / deviation))
    ]
    trained = (
        [_train_layer(job) for job in jobs] if workers is None else workers.run(_train_layer, jobs)
    )
    stacked = zip(*(one.mlp.parameters for one in trained), strict=True)
    hidden, biases, *out = (np.stack(one) for one in stacked)
    scales = (mean.reshape(-1, view.size), deviation.reshape(-1, view.size))
    parameters = (*_in_units(hidden, biases, *scales), *out)
    shape = (pool.layers, pool.experts, pool.top_k)
    predictor = ExpertPredictor(parameters, *shape, view=view, recorded=recorded)
    return TrainedPredictor(predictor, float(np.mean([one.missing_tail for one in trained])))


def _in_units(
    hidden: Floats, biases: Floats, mean: Floats, deviation: Floats
) -> tuple[Floats, Floats]:
    """Return first weights and biases for features as they come: ``(x - m) / s W + b``."""
    scaled = hidden / deviation[:, :, None]
    return scaled, biases - (mean[:, None] @ scaled)[:, 0]


def _train_layer(job: Job) -> Trained:
    items, chosen, effort, seed, layer = job
    return train_on_items(items, chosen, effort, Streams(seed).block("training", layer))
