"""What a predictor is trained on: cross-entropy, plain or weighted by class, and AUC beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulator.errors import ConfigError, unknown
from simulator.study.prefetch.auc import auc_square_loss, ordered_pairs
from simulator.study.prefetch.bank import BankSettings

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a predictor is trained.

    Parameters
    ----------
    weighted
        Whether classes weigh ``N / (K N_c)`` in the cross-entropy, so that all count alike.
    auc_weight
        ``lambda``, weight of the AUC loss beside the cross-entropy; 0: none.
    bank
        The memory bank; None: none.
    stratified
        Whether sequences (images) are drawn by class: first a class, then one that has it.
    adjusted
        Whether logits are lessened by the logarithm of how frequent their class is, once they are
        trained (post-hoc logit adjustment, Menon et al., arXiv 2007.07314).
    """

    weighted: bool = False
    auc_weight: float = 0.0
    bank: BankSettings | None = None
    stratified: bool = False
    adjusted: bool = False


RECIPES = (
    "ce",
    "ce_bank",
    "ce_auc",
    "ce_auc_bank",
    "ce_weighted",
    "ce_stratified",
    "ce_adjusted",
)
"""Names of what is compared: cross-entropy, with bank, with AUC, with both, and the baselines."""


def recipe(name: str, auc_weight: float, bank: BankSettings) -> Recipe:
    """Return the recipe of a name.

    Raises
    ------
    ConfigError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> recipe("ce_auc", 4.0, BankSettings()).auc_weight
    4.0
    """
    if name not in RECIPES:
        raise ConfigError(unknown("recipe", name, RECIPES, "recipes"))
    return Recipe(
        weighted=name == "ce_weighted",
        auc_weight=auc_weight if "auc" in name else 0.0,
        bank=bank if "bank" in name else None,
        stratified=name == "ce_stratified",
        adjusted=name == "ce_adjusted",
    )


def recipe_loss(
    logits: Floats, members: Mask, chosen: Recipe, class_weights: Floats
) -> tuple[float, Floats]:
    """Return the loss of a batch and its slopes by the logits.

    Parameters
    ----------
    logits, members
        Shape (N, K).
    chosen
        What is summed up.
    class_weights
        Of each class in the cross-entropy, shape (K,); ones for plain.

    Notes
    -----
    Cross-entropy is the mean over rows, the labels of a row sharing its weight. The AUC
    loss is taken of ``sigmoid(logits)``, as its authors' code does, and is the mean over ordered
    pairs of classes, so that its weight means the same for any number of classes.
    """
    target = members / np.maximum(members.sum(axis=-1, keepdims=True), 1) * class_weights
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chances = np.exp(shifted)
    summed = chances.sum(axis=-1, keepdims=True)
    chances /= summed
    value = float((target * (np.log(summed) - shifted)).sum()) / len(logits)
    slopes = (target.sum(axis=-1, keepdims=True) * chances - target) / len(logits)
    pairs = ordered_pairs(members) if chosen.auc_weight else 0
    if pairs:
        scores = expit(logits)
        loss, by_score = auc_square_loss(scores, members)
        value += chosen.auc_weight * loss / pairs
        slopes += chosen.auc_weight / pairs * by_score * scores * (1.0 - scores)
    return value, slopes


def log_frequencies(counts: NDArray[np.int64]) -> Floats:
    """Return the logarithm of the share of each class, half a row for those without any.

    Examples
    --------
    >>> np.exp(log_frequencies(np.array([3, 1, 0]))).round(3).tolist()
    [0.667, 0.222, 0.111]
    """
    rows = np.maximum(counts, 0.5)
    logs: Floats = np.log(rows / rows.sum())
    return logs


def balanced_weights(counts: NDArray[np.int64]) -> Floats:
    """Return weights by which all classes that have rows count alike.

    Parameters
    ----------
    counts
        Rows of each class, shape (K,).

    Returns
    -------
    ndarray of float
        ``N / (K N_c)`` for K classes that have rows, N rows in all; 0 for those without.

    Examples
    --------
    >>> balanced_weights(np.array([3, 1, 0])).round(3).tolist()
    [0.667, 2.0, 0.0]
    """
    present = counts > 0
    shares = counts.sum() / present.sum()
    weights: Floats = np.where(present, shares / np.maximum(counts, 1), 0.0)
    return weights
