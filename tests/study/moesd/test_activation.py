"""N(t) of real models against the laws."""

import numpy as np
import pytest

from simulator.experts.laws import Overlap, distinct_experts
from simulator.study.moesd.activation import activation_curves


@pytest.fixture(scope="module")
def study():
    return activation_curves()


def test_uniform_routing_is_the_curve_that_the_paper_draws(study):
    for curve in study.curves:
        assert curve.uniform == pytest.approx(curve.published.formula, abs=0.75)


def test_uniform_routing_counts_too_many_experts(study):
    """By 10 to 20 % around 16 to 32 tokens."""
    for curve in study.curves:
        tokens, measured = np.array(curve.published.tokens), np.array(curve.published.value)
        excess = (curve.uniform / measured - 1)[tokens <= 32]
        assert excess.min() > 0.1
        assert excess.max() < 0.25


def test_the_overlap_law_follows_with_one_exponent(study):
    for curve in study.curves:
        assert 0.8 < curve.exponent < 0.95
        assert curve.error(curve.overlap) < 0.03 < curve.error(curve.uniform)


def test_an_exponent_from_other_traces_predicts_better_than_uniform_routing(study):
    predicted = [curve for curve in study.curves if curve.predicted is not None]
    assert [curve.published.model for curve in predicted] == ["qwen1_5_moe_a2_7b"]
    (curve,) = predicted
    assert curve.error(curve.predicted) < 0.5 * curve.error(curve.uniform)


def test_the_law_is_the_simulators_own(study):
    curve = study.curves[0]
    law = Overlap(across_requests=curve.exponent)
    for tokens, experts in zip(curve.published.tokens, curve.overlap, strict=True):
        independent = law.independent_tokens(tokens, 1, 0)
        assert distinct_experts(64, 6, independent) == pytest.approx(experts)


def test_metrics_are_flat_and_say_the_errors(study):
    found = study.metrics
    assert found["activation_uniform_mape_deepseek_v2_lite"] == pytest.approx(0.114, abs=0.001)
    assert "activation_predicted_mape_deepseek_v2_lite" not in found
    assert all(isinstance(value, float) for value in found.values())
