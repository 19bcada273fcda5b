"""MoESD's closed forms against each other, in their limits, and against the printed algorithm."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.experts.laws import distinct_experts
from simulator.speculation.activation import activated_experts, tokens_per_expert
from simulator.speculation.growth import growth, growth_with_derivatives
from simulator.speculation.performance import (
    NAMES,
    TIME_NAMES,
    Parameters,
    Points,
    jacobian,
    predict,
)
from simulator.speculation.theory import (
    alpha_from_sigma,
    saturation_tokens,
    sigma,
    speedup,
    target_efficiency,
)

THETA = Parameters(4.7e-3, 3e-3, 0.3e-3, 2e-3, 0.5e-3, 1.5e-3, 1e-3, 2e-4, 0.3, 1.02)
RIDGE = 153.0


def grid(batches=(1, 2, 8, 24, 60, 100), gammas=(2, 4), top_ks=(1, 8, 32), share=0.9):
    table = np.array([(b, g, k) for k in top_ks for g in gammas for b in batches], float).T
    return Points.of(*table, 64, share, RIDGE)


@given(st.floats(0, 1), st.integers(1, 16))
def test_alpha_comes_back_from_sigma(alpha, gamma):
    share = sigma(alpha, gamma)
    found = alpha_from_sigma(share, gamma)
    assert 0 <= found <= 1
    assert sigma(found, gamma) == pytest.approx(share, abs=1e-12)
    if alpha > 1e-3:  # where sigma is not flat
        assert found == pytest.approx(alpha, abs=1e-9)


def test_alpha_of_a_table_of_sigmas():
    found = alpha_from_sigma([[0.94], [1.0]], [2, 4])
    assert found.shape == (2, 2)
    assert found[1].tolist() == pytest.approx([1, 1])
    assert alpha_from_sigma(0.2, 4) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("share", "gamma"), [(0.19, 4), (1.01, 4), (math.nan, 4)])
def test_a_sigma_that_no_alpha_yields_is_refused(share, gamma):
    with pytest.raises(ConfigError, match=r"sigma=.* is out of range: .* between 0\.2 and 1"):
        alpha_from_sigma([0.5, share], gamma)


def test_without_drafts_sigma_tells_no_alpha():
    with pytest.raises(ConfigError, match="from gamma 1 on, got gamma=0"):
        alpha_from_sigma(1.0, 0)


@pytest.mark.parametrize(("experts", "top_k"), [(64, 8), (8, 2), (512, 10), (1, 1), (8, 8)])
def test_active_experts_are_those_of_the_routing_law(experts, top_k):
    tokens = np.array([0.0, 0.5, 1, 2, 16, 100, 1e5])
    law = [distinct_experts(experts, top_k, t) for t in tokens]
    assert activated_experts(tokens, experts, top_k) == pytest.approx(law, rel=1e-12)


@given(st.integers(2, 512), st.integers(1, 16), st.floats(1, 500))
def test_active_experts_are_bounded_and_share_the_work(experts, top_k, tokens):
    top_k = min(top_k, experts)
    active = activated_experts(tokens, experts, top_k)
    assert top_k * (1 - 1e-9) <= active <= min(experts, tokens * top_k) * (1 + 1e-9)
    each = tokens_per_expert(tokens, experts, top_k)
    assert each * active == pytest.approx(tokens * top_k)


def test_sparser_models_leave_fewer_tokens_to_an_expert():
    """Appendix B: tokens per expert rise with K/E."""
    each = tokens_per_expert(np.array([[2.0], [30], [400]]), 64, np.arange(1, 65))
    assert np.all(np.diff(each, axis=1) > 0)
    assert each[:, -1] == pytest.approx([2, 30, 400])  # dense: every token


def test_from_saturation_on_almost_all_experts_are_active():
    for experts, top_k in [(64, 8), (8, 2), (128, 8), (256, 8)]:
        tokens = saturation_tokens(experts, top_k)
        assert activated_experts(tokens, experts, top_k) >= 0.95 * experts
        assert activated_experts(tokens - 1, experts, top_k) < 0.95 * experts


@given(st.floats(1, 200), st.floats(1.0001, 2))
def test_growth_is_smooth_at_the_ridge(ridge, base):
    step = 1e-6 * ridge
    left, at, right = growth([ridge - step, ridge, ridge + step], ridge, base)
    slope = base**ridge * math.log(base)
    assert (at - left) / step == pytest.approx(slope, rel=1e-3)
    assert (right - at) / step == pytest.approx(slope, rel=1e-3)


def test_growth_in_its_limits():
    t = np.array([1.0, 10, 50, 200])
    assert growth(t, 1e9, 1.01) == pytest.approx(1.01**t)
    assert growth(t, 20.0, 1.0).tolist() == [1, 1, 1, 1]
    far = growth([1000.0, 1001.0], 30.0, 1.05)
    assert far[1] - far[0] == pytest.approx(1.05**30 * math.log(1.05))


def test_derivatives_of_growth_are_its_differences():
    t, ridge, base, step = np.array([0.5, 10, 40, 300]), 30.0, 1.03, 1e-6
    found = growth_with_derivatives(t, ridge, base)
    by_ridge = (growth(t, ridge + step, base) - growth(t, ridge - step, base)) / (2 * step)
    by_base = (growth(t, ridge, base + step) - growth(t, ridge, base - step)) / (2 * step)
    assert found.by_ridge == pytest.approx(by_ridge, abs=1e-6)
    assert found.by_base == pytest.approx(by_base, rel=1e-5)


def as_printed(theta, B, gamma, K, E, share, *, misprint):
    """Algorithm 1 word by word, with and without the misprint of its line 11."""
    bias, k1, k2, k3, draft_bias, draft_k, reject_bias, reject_k, lambda_, s = theta

    def growing(t):
        r = lambda_ * RIDGE
        return s**t if t <= r else s**r * (1 + math.log(s) * (t - r))

    def target(t):
        N = E * (1 - ((E - K) / E) ** t)
        return bias + k1 * growing(t) + k2 * N + k3 * growing(t * K / N)

    ar, verify = target(B), target(B * gamma)
    draft, reject = draft_bias + draft_k * growing(B), reject_bias + reject_k * B
    wrong, right = draft + ar + verify + reject, gamma * draft + verify + reject
    return share * (gamma + 1) * ar / (wrong if misprint else right)


def test_the_model_is_algorithm_1_with_equation_4():
    points = grid()
    columns = zip(points.batch, points.gamma, points.top_k, strict=True)
    expected = [as_printed(THETA, b, g, k, 64, 0.9, misprint=False) for b, g, k in columns]
    assert predict(THETA, points).speedup == pytest.approx(expected, rel=1e-12)


def test_the_printed_line_promises_less_than_equation_4():
    printed = as_printed(THETA, 8, 4, 8, 64, 0.9, misprint=True)
    assert printed < 0.75 * as_printed(THETA, 8, 4, 8, 64, 0.9, misprint=False)


def test_the_model_agrees_with_the_closed_speedup():
    points, found = grid(), predict(THETA, grid())
    closed = speedup(
        points.sigma * (points.gamma + 1),
        points.gamma * found.draft_step_s / found.ar_step_s,
        1 / target_efficiency(found.ar_step_s, found.verify_step_s),
        found.reject_s / found.ar_step_s,
    )
    assert found.speedup == pytest.approx(closed)


def test_target_efficiency_runs_from_memory_to_compute_bound():
    loads = Parameters(1, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    computes = Parameters(0, 1, 0, 0, 0, 0, 0, 0, 0.2, 1.05)
    for theta, batch, expected in [(loads, 8, 1.0), (computes, 1e6, 1 / 4)]:
        point = Points.of(batch, 4, 8, 64, 1.0, RIDGE)
        found = predict(theta, point)
        efficiency = target_efficiency(found.ar_step_s, found.verify_step_s)
        assert efficiency == pytest.approx(expected, rel=1e-3)


def test_a_dense_model_is_one_expert():
    point = Points.of([1, 50], 4, 1, 1, 0.9, RIDGE)
    found = predict(Parameters(1, 0, 2, 0, 0, 0, 0, 0, 1, 1), point)
    assert found.ar_step_s.tolist() == found.verify_step_s.tolist() == [3, 3]


@pytest.mark.parametrize("index", range(10), ids=NAMES)
def test_the_jacobian_is_the_difference_quotient(index):
    step = 1e-6 * THETA[index]
    up, down = (
        predict(THETA._replace(**{THETA._fields[index]: THETA[index] + sign * step}), grid())
        for sign in (1, -1)
    )
    for name, columns in jacobian(THETA, grid())._asdict().items():
        quotient = (getattr(up, name) - getattr(down, name)) / (2 * step)
        scale = np.abs(quotient).max()
        assert columns[:, index] == pytest.approx(quotient, rel=1e-4, abs=1e-5 * scale), name


def relative_rank(columns):
    """Rank of a Jacobian by logarithms of the parameters."""
    values = np.linalg.svd(columns * np.array(THETA), compute_uv=False)
    return int((values > 1e-9 * values[0]).sum())


def published_grid():
    batches = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 80, 100)
    return grid(batches, (2, 4), (1, 2, 4, 8, 16, 32))


def test_speedups_determine_nine_of_ten_and_one_time_the_tenth():
    found = jacobian(THETA, published_grid())
    assert relative_rank(found.speedup) == 9
    assert relative_rank(np.vstack([found.speedup, found.ar_step_s[:1]])) == 10


def test_times_may_grow_together_and_no_speedup_shows():
    slower = Parameters(*(7.0 * x for x in THETA[: len(TIME_NAMES)]), *THETA[8:])
    assert predict(slower, grid()).speedup == pytest.approx(predict(THETA, grid()).speedup)
    assert predict(slower, grid()).ar_step_s == pytest.approx(7 * predict(THETA, grid()).ar_step_s)


def test_columns_and_scalars_broadcast_to_points():
    points = Points.of([1, 2, 3], 4, 8, 64, 0.9, RIDGE)
    assert points.gamma.tolist() == [4, 4, 4]
    assert predict(THETA, Points.of(1, 4, 8, 64, 0.9, RIDGE)).speedup.shape == (1,)
