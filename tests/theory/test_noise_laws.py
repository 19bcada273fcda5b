"""Laws of noise against estimates: on a line to 0.01, on a trained network to 0.02."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from helpers.suites import some
from threadpoolctl import threadpool_limits

from simulator.serving.tenants.session import margins
from simulator.study.defence.laws import (
    Margin,
    Probe,
    counted_flips,
    flip_probability,
    forward_estimates,
    mean_cosine,
    second_moment,
)
from simulator.study.defence.models import trained

DRAWS, D, MU = 20_000, 16, 0.02
SLOPE = np.random.default_rng(1).standard_normal(D)


def line(points: np.ndarray) -> np.ndarray:
    return points @ SLOPE


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("eot", some((1, 4, 16), 1, 4))
@pytest.mark.parametrize("r", some((0.1, 0.5, 1.0, 3.0, 10.0), 0.5, 3.0))
def test_noise_reverses_differences_on_a_line_as_often_as_the_law_says(
    r: float, eot: int, two_sided: bool
) -> None:
    generator, draws = np.random.default_rng(2), DRAWS if eot < 16 else 10_000
    probe, points = Probe(MU, r * MU, eot), np.zeros((draws, D))
    counted = counted_flips(line, points, probe, generator, two_sided=two_sided)
    law = flip_probability(r, eot=eot, two_sided=two_sided)
    assert counted == pytest.approx(law, abs=0.01)


def test_flips_depend_on_the_ratio_of_noise_and_perturbation_alone() -> None:
    counted = [
        counted_flips(line, np.zeros((2000, D)), Probe(mu, 0.7 * mu), np.random.default_rng(3))
        for mu in (1e-3, 0.02, 5.0)
    ]
    assert counted[0] == counted[1] == counted[2]


@pytest.mark.parametrize("eot", some((1, 4), 1))
@pytest.mark.parametrize("r", some((0.0, 1.0, 3.0), 1.0))
def test_the_second_moment_of_the_forward_estimator(r: float, eot: int) -> None:
    # d + 2 + 2 d r^2 / M, and unbiased whatever the noise.
    generator = np.random.default_rng(4)
    found = forward_estimates(line, np.zeros(D), Probe(MU, r * MU, eot), 10 * DRAWS, generator)
    moment = float((found * found).sum(axis=1).mean() / (SLOPE @ SLOPE))
    assert moment == pytest.approx(second_moment(r, D, eot=eot), rel=0.01)
    along = float(found.mean(axis=0) @ SLOPE / (SLOPE @ SLOPE))
    assert along == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("r", "samples"), [(0.0, 15), (1.0, 15), (3.0, 60)])
def test_the_cosine_of_averaged_estimates_with_the_gradient(r: float, samples: int) -> None:
    generator, slope = np.random.default_rng(5), np.random.default_rng(1).standard_normal(64)
    probe, point = Probe(MU, r * MU), np.zeros(64)
    found = forward_estimates(lambda x: x @ slope, point, probe, 600 * samples, generator)
    assert _mean_cosine(found, samples, slope) == pytest.approx(
        mean_cosine(r, 64, samples), abs=0.01
    )


def _mean_cosine(estimates: np.ndarray, samples: int, slope: np.ndarray) -> float:
    averaged = estimates.reshape(-1, samples, slope.size).mean(axis=1)
    lengths = np.linalg.norm(averaged, axis=1) * np.linalg.norm(slope)
    return float((averaged @ slope / lengths).mean())


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def digits() -> tuple[Margin, np.ndarray]:
    """Return the margin of the trained network, and the pictures at which it is asked."""
    model, held_out = trained("none", 0)
    rows = np.random.default_rng(6).integers(len(held_out.labels), size=10_000)
    labels = held_out.labels[rows]
    return lambda points: margins(model.outputs(points), labels), held_out.pixels[rows]


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("r", some((0.3, 1.0, 3.0, 10.0), 1.0, 3.0))
def test_flips_on_a_trained_network_follow_the_law_of_lines(
    digits: tuple[Margin, np.ndarray], r: float, two_sided: bool
) -> None:
    # A perturbation of 0.01 a pixel is small beside the creases of the network.
    margin, points = digits
    probe = Probe(0.01, 0.01 * r)
    counted = counted_flips(margin, points, probe, np.random.default_rng(7), two_sided=two_sided)
    assert counted == pytest.approx(flip_probability(r, two_sided=two_sided), abs=0.02)


def test_estimates_on_a_trained_network_follow_the_laws_of_lines() -> None:
    model, held_out = trained("none", 0)
    pixels, label, mu = 64, int(held_out.labels[0]), 1e-3

    def margin(points: np.ndarray) -> np.ndarray:
        return margins(model.outputs(points), label)

    point, tiny = held_out.pixels[0], 1e-6 * np.eye(64)
    slope = (margin(point + tiny) - margin(point - tiny)) / 2e-6
    for r in (0.0, 1.0):
        generator = np.random.default_rng(8)
        found = forward_estimates(margin, point, Probe(mu, r * mu), 45_000, generator)
        moment = float((found * found).sum(axis=1).mean() / (slope @ slope))
        assert moment == pytest.approx(second_moment(r, pixels), rel=0.02)
        assert _mean_cosine(found, 15, slope) == pytest.approx(mean_cosine(r, pixels, 15), abs=0.02)
