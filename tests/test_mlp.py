"""The small network: its gradients, its optimiser, and that training is deterministic."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.mlp import Adam, Mlp, cross_entropy, log_softmax, train


def test_gradients_are_those_of_finite_differences() -> None:
    generator = np.random.default_rng(1)
    mlp = Mlp.initial([5, 7, 6, 3], generator)
    inputs, labels = generator.standard_normal((4, 5)), np.array([0, 2, 1, 2])

    def loss(points: np.ndarray) -> float:
        return cross_entropy(mlp.outputs(points), labels)[0]

    layers = mlp.layers(inputs)
    by_parameters, by_inputs = mlp.gradients(layers, cross_entropy(layers[-1], labels)[1])
    tiny = 1e-6
    for parameter, gradient in zip(mlp.parameters, by_parameters, strict=True):
        assert gradient.shape == parameter.shape
        flat, at = parameter.reshape(-1), generator.integers(parameter.size)
        before = flat[at]
        flat[at] = before + tiny
        above = loss(inputs)
        flat[at] = before - tiny
        below = loss(inputs)
        flat[at] = before
        assert gradient.reshape(-1)[at] == pytest.approx((above - below) / (2 * tiny), abs=1e-7)
    step = np.zeros_like(inputs)
    step[2, 3] = tiny
    slope = (loss(inputs + step) - loss(inputs - step)) / (2 * tiny)
    assert by_inputs[2, 3] == pytest.approx(slope, abs=1e-7)


def test_the_first_step_of_adam_is_as_long_as_the_learning_rate_whatever_the_gradient() -> None:
    parameter = np.zeros(3)
    Adam([parameter], learning_rate=0.1).step([np.array([1e-3, -5.0, 700.0])])
    assert parameter == pytest.approx([-0.1, 0.1, -0.1], rel=1e-4)


def test_log_probabilities_of_huge_logits_are_finite_and_sum_to_one() -> None:
    logs = log_softmax(np.array([[1e5, 0.0, -1e5], [3.0, 3.0, 3.0]]))
    assert np.isfinite(logs).all()
    assert np.exp(logs).sum(axis=1) == pytest.approx([1.0, 1.0])


def test_training_learns_what_no_line_separates_and_the_same_each_time() -> None:
    points = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 8)
    labels = (points[:, 0] != points[:, 1]).astype(np.int64)

    def trained() -> tuple[Mlp, list[float]]:
        generator = np.random.default_rng(3)
        mlp = Mlp.initial([2, 16, 2], generator)
        losses = train(
            mlp,
            points,
            lambda outputs, rows: cross_entropy(outputs, labels[rows]),
            epochs=80,
            generator=generator,
            batch=8,
            learning_rate=0.02,
        )
        return mlp, losses

    (first, losses), (second, again) = trained(), trained()
    assert (first.outputs(points).argmax(axis=1) == labels).all()
    assert losses == again
    assert losses[-1] < 0.1 * losses[0]
    assert all(
        (one == other).all() for one, other in zip(first.parameters, second.parameters, strict=True)
    )


def test_inputs_may_be_disturbed_by_what_knows_the_network_and_the_rows() -> None:
    points, seen = np.arange(6.0).reshape(6, 1), []

    def disturb(mlp: Mlp, inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        assert (inputs == points[rows]).all()
        seen.extend(rows.tolist())
        return inputs + mlp.outputs(inputs) * 0.0

    generator = np.random.default_rng(0)
    train(
        Mlp.initial([1, 1], generator),
        points,
        lambda outputs, _: (0.0, np.zeros_like(outputs)),
        epochs=2,
        generator=generator,
        batch=4,
        disturb=disturb,
    )
    assert sorted(seen) == sorted([*range(6), *range(6)])
