"""The classifiers that are defended, trained here: plain, on noise, and on attacks."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.mlp import Mlp, cross_entropy, one_thread, train
from simulator.streams import Streams
from simulator.study.digit_images import DigitImages, load_digit_images, split

Floats = NDArray[np.float64]

NONE, NOISE, TUNED, ADVERSARIAL = "none", "rnd", "rnd_gf", "rnd_at"

DEFENCES = (NOISE, TUNED, ADVERSARIAL)
"""Noise on the plain model; on one fine-tuned with Gaussian augmentation; on one that was trained
adversarially."""

SIZES = (64, 64, 64, 10)
"""Of the layers: pixels, two hidden ones, digits."""

HELD_OUT = 0.2
"""Share of the pictures that no model has seen."""

EPOCHS = 40
"""Of training, and of fine-tuning after it."""

TUNING_NU = 0.2
"""Noise of the fine-tuning."""

ATTACK_RADIUS, ATTACK_STEPS = 0.1, 4
"""Ball and steps of the projected gradient ascent of adversarial training (1706.06083)."""


class Trained(NamedTuple):
    """A model, and the pictures that it has not seen.

    Parameters
    ----------
    model
        The classifier.
    held_out
        What it is tested on.
    """

    model: Mlp
    held_out: DigitImages


def trained(defence: str, seed: int) -> Trained:
    """Return the model of a defence, or of `NONE`: the same for a seed, trained once a process.

    Raises
    ------
    ConfigError
        If scikit-learn is missing.
    """
    return _trained(NOISE if defence == NONE else defence, seed)


@lru_cache(maxsize=8)
@one_thread
def _trained(kind: str, seed: int) -> Trained:
    streams = Streams(seed).within("models")
    seen, held_out = split(load_digit_images(), HELD_OUT, streams.block("split", 0))
    generator = streams.block(kind, 0)
    if kind == TUNED:
        model = _trained(NOISE, seed).model.copy()
    else:
        model = Mlp.initial(SIZES, streams.block("weights", 0))

    def noisy(_: Mlp, inputs: Floats, rows: NDArray[np.int64]) -> Floats:
        return inputs + TUNING_NU * generator.standard_normal(inputs.shape)

    def attacked(mlp: Mlp, inputs: Floats, rows: NDArray[np.int64]) -> Floats:
        return ascended(mlp, inputs, seen.labels[rows])

    train(
        model,
        seen.pixels,
        lambda outputs, rows: cross_entropy(outputs, seen.labels[rows]),
        epochs=EPOCHS,
        generator=generator,
        disturb={NOISE: None, TUNED: noisy, ADVERSARIAL: attacked}[kind],
    )
    return Trained(model, held_out)


def ascended(mlp: Mlp, inputs: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return inputs that an attacker who knows the model would send, within `ATTACK_RADIUS`.

    Projected gradient ascent of the loss, with steps of half the radius along the sign.
    """
    points, low, high = inputs, inputs - ATTACK_RADIUS, inputs + ATTACK_RADIUS
    for _ in range(ATTACK_STEPS):
        layers = mlp.layers(points)
        slopes = mlp.gradients(layers, cross_entropy(layers[-1], labels)[1])[1]
        moved = points + ATTACK_RADIUS / 2.0 * np.sign(slopes)
        points = np.clip(np.clip(moved, low, high), 0.0, 1.0)
    return points
