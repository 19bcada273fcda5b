"""Models: what fine-tuning on noise and on attacks does to them."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.study.defence import models
from simulator.study.defence.measure import without_attack
from simulator.study.defence.models import ascended, trained


def accuracy(defence: str, nu: float, seed: int = 0) -> float:
    return without_attack(defence, nu, seed).accuracy


def test_noise_alone_makes_some_pictures_wrong_by_majority() -> None:
    none, some = (without_attack("rnd", nu, 0).misled for nu in (0.0, 0.4))
    assert none == 0.0  # only what the model is right about is attacked
    assert 0.05 < some < 0.5


def test_fine_tuning_on_noise_keeps_three_points_of_accuracy_at_nu_02() -> None:
    base, tuned = (accuracy(kind, 0.2) for kind in ("rnd", "rnd_gf"))
    assert tuned > base + 0.03
    assert accuracy("rnd_gf", 0.0) > 0.96


@pytest.mark.slow
def test_so_it_is_in_the_mean_over_trainings() -> None:
    gains = [accuracy("rnd_gf", 0.2, seed) - accuracy("rnd", 0.2, seed) for seed in range(1, 6)]
    assert np.mean(gains) > 0.03


def test_noise_costs_accuracy_more_and_more() -> None:
    found = [accuracy("rnd", nu) for nu in (0.0, 0.1, 0.2, 0.4)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95


@pytest.mark.slow
def test_a_model_is_trained_once_and_the_same_for_a_seed() -> None:
    first = trained("none", 0)
    assert trained("rnd", 0) is first
    models._trained.cache_clear()
    again = trained("none", 0)
    assert again is not first
    assert all(map(np.array_equal, first.model.parameters, again.model.parameters))


def test_attacks_in_training_stay_in_their_ball_and_raise_the_loss() -> None:
    model, held_out = trained("none", 0)
    pixels, labels = held_out.pixels[:50], held_out.labels[:50]
    points = ascended(model, pixels, labels)
    assert np.abs(points - pixels).max() <= models.ATTACK_RADIUS + 1e-12
    right = (model.outputs(points).argmax(axis=1) == labels).mean()
    assert right < 0.9 * (model.outputs(pixels).argmax(axis=1) == labels).mean()


@pytest.mark.slow
def test_adversarial_training_withstands_the_attack_that_it_trains_on() -> None:
    found = []
    for kind in ("none", "rnd_at"):
        model, held_out = trained(kind, 0)
        points = ascended(model, held_out.pixels, held_out.labels)
        found.append((model.outputs(points).argmax(axis=1) == held_out.labels).mean())
    assert found[1] > found[0] + 0.2
