"""The task that the method comes from, small: label the pixels of canvases with rare digits.

Canvases hold handwritten digits on an empty background; how often a digit is shown falls with its
number as a power law. What is held out has the same law, and other pictures. A pixel is seen
through the patch around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.mlp import log_softmax
from simulator.streams import Streams
from simulator.study.digit_images import DigitImages, load_digit_images, split
from simulator.study.executors.in_order import Workers
from simulator.study.prefetch.auc import class_aucs
from simulator.study.prefetch.bank import BankSettings, Item
from simulator.study.prefetch.losses import recipe
from simulator.study.prefetch.training import Effort, tail_classes, train_on_items

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DIGITS = 10
BACKGROUND = DIGITS
CLASSES = DIGITS + 1
SIDE = 32
"""Pixels of a canvas, each way."""

PATCH = 9
"""Pixels of a patch, each way."""

INK = 0.3
"""Darkness from which a pixel belongs to its digit (kind: assumed)."""

EXPONENT = 1.2
"""Of the power law of digits (kind: assumed)."""

SHOWN = 4
"""Digits of a canvas."""

RECIPES = ("ce", "ce_auc", "ce_auc_bank", "ce_weighted", "ce_stratified")
"""What is compared."""

CANVASES, HELD_OUT = 120, 60
"""Canvases to learn from, and those that judge."""

EFFORT = Effort(steps=300, batch=4, learning_rate=1e-2)
"""How long the network is trained: so that cross-entropy says most digits, if seldom."""

AUC_WEIGHT, BANK = 1.0, BankSettings(retrieved=1.0)
"""``lambda`` of the mean over pairs of classes (kind: assumed), and R_S and R_R that AUCSeg takes
for Cityscapes, whose classes are about as many. (Its ``lambda`` of 1 is of their sum.)"""


class Labelled(NamedTuple):
    """How well a recipe labels pixels, in one repetition.

    Parameters
    ----------
    recipe, seed
        Which.
    tail_iou, tail_auc, mean_iou, mean_auc
        Intersection over union, and area under the ROC curve, mean over classes.
    iou, auc
        By class, digits first, then the background; NaN for what is not shown.
    missing_tail
        Share of pairs of training batch and tail class without a pixel.
    """

    recipe: str
    seed: int
    tail_iou: float
    tail_auc: float
    mean_iou: float
    mean_auc: float
    iou: tuple[float, ...]
    auc: tuple[float, ...]
    missing_tail: float


def draw_canvas(images: DigitImages, draws: np.random.Generator) -> Item:
    """Return a canvas: patches of its pixels, and their classes."""
    shares = 1.0 / np.arange(1, DIGITS + 1) ** EXPONENT
    pixels = np.zeros((SIDE, SIDE))
    classes = np.full((SIDE, SIDE), BACKGROUND)
    for digit in draws.choice(DIGITS, size=SHOWN, p=shares / shares.sum()):
        known = np.flatnonzero(images.labels == digit)
        picture = images.pixels[int(draws.choice(known))].reshape(8, 8)
        row, column = (int(draws.integers(SIDE - 7)) for _ in range(2))
        place = slice(row, row + 8), slice(column, column + 8)
        pixels[place] = picture
        classes[place] = np.where(picture > INK, digit, BACKGROUND)
    padded = np.pad(pixels, PATCH // 2)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH))
    labels = np.eye(CLASSES, dtype=np.bool_)[classes]
    return Item(patches.reshape(SIDE, SIDE, PATCH * PATCH).copy(), labels)


def label_pixels(
    names: Sequence[str],
    seeds: Sequence[int],
    workers: Workers,
    *,
    canvases: int = CANVASES,
    effort: Effort = EFFORT,
) -> list[Labelled]:
    """Train and judge every recipe in every repetition.

    Parameters
    ----------
    names
        Recipes.
    seeds
        Of the repetitions.
    workers
        Who does it, a repetition at a time.
    canvases, effort
        How much is learned from, and how long.
    """
    jobs = [(tuple(names), seed, canvases, effort) for seed in seeds]
    found = workers.run(_repetition, jobs, units=len(names))
    return [row for rows in found for row in rows]


def _repetition(job: tuple[tuple[str, ...], int, int, Effort]) -> list[Labelled]:
    """Train and judge all recipes on the canvases of a seed."""
    names, seed, canvases, effort = job
    streams = Streams(seed)
    learned, judged = split(load_digit_images(), 0.3, streams.block("held out", 0))
    draws = streams.block("canvases", 0)
    items = [draw_canvas(learned, draws) for _ in range(canvases)]
    held = [draw_canvas(judged, draws) for _ in range(HELD_OUT)]
    tail = tail_classes(np.sum([item.labels.sum(axis=(0, 1)) for item in items], axis=0))
    rows = []
    for name in names:
        chosen = recipe(name, AUC_WEIGHT, BANK)
        trained = train_on_items(items, chosen, effort, streams.block("training", 0))
        iou, auc = _judge(trained.mlp.outputs, held)
        rows.append(
            Labelled(
                recipe=name,
                seed=seed,
                tail_iou=float(np.nanmean(iou[tail])),
                tail_auc=float(np.nanmean(auc[tail])),
                mean_iou=float(np.nanmean(iou)),
                mean_auc=float(np.nanmean(auc)),
                iou=tuple(iou.tolist()),
                auc=tuple(auc.tolist()),
                missing_tail=trained.missing_tail,
            )
        )
    return rows


def _judge(outputs: Callable[[Floats], Floats], held: Sequence[Item]) -> tuple[Floats, Floats]:
    """Return intersection over union, and area under the ROC curve, by class."""
    features = np.concatenate([item.features.reshape(-1, PATCH * PATCH) for item in held])
    labels = np.concatenate([item.labels.reshape(-1, CLASSES) for item in held])
    logits = outputs(features)
    guessed = np.eye(CLASSES, dtype=np.bool_)[logits.argmax(axis=1)]
    either = (guessed | labels).sum(axis=0)
    iou = np.where(either > 0, (guessed & labels).sum(axis=0) / np.maximum(either, 1), np.nan)
    # Chances, as in `replay.ranking`: logits are free up to a constant of each pixel.
    return iou, class_aucs(np.exp(log_softmax(logits)), labels)
