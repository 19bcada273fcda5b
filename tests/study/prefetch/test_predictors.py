"""Training of a predictor layer by layer: units, recorded features, and who does it."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.experts.drafts import DraftView
from simulator.study.prefetch.predictors import train
from simulator.study.prefetch.question import LONG_TAIL, Question
from simulator.study.prefetch.traces import Traces, drawn_traces
from simulator.study.prefetch.training import Effort
from tests.helpers.prefetch import here

QUESTION = Question(sequences=16, effort=Effort(steps=12, hidden=8), layers=2)


def recorded(scale, shift):
    """Routes of two layers whose features, the same for both, come in some unit."""
    pools = drawn_traces(LONG_TAIL, 2, 16, 32, 0)
    seen = DraftView(4, 0.5, 0)
    return Traces(*(replace(pool, features=scale * seen.features(pool) + shift) for pool in pools))


@pytest.mark.parametrize("name", ["ce", "ce_auc_bank"])
def test_the_unit_of_recorded_features_changes_nothing(name):
    found = []
    for scale, shift in ((1.0, 0.0), (1e4, -3e5), (1e-3, 1.0)):
        traces = recorded(scale, shift)
        predictor, _ = train(QUESTION, traces, QUESTION.recipe(name), 0)
        assert predictor.recorded
        found.append(predictor.chances(predictor.features_of(traces.before)))
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)
    assert found[0].shape == (16 * 32, 2, 32)


def test_layers_are_trained_alike_whoever_does_it():
    traces = drawn_traces(LONG_TAIL, 2, 16, 32, 0)
    alone, missing = train(QUESTION, traces, QUESTION.recipe("ce_bank"), 0)
    given_out, same = train(QUESTION, traces, QUESTION.recipe("ce_bank"), 0, here())
    assert missing == same
    for one, other in zip(alone.parameters, given_out.parameters, strict=True):
        np.testing.assert_array_equal(one, other)


def test_adjusted_logits_are_those_of_cross_entropy_less_how_frequent_experts_are():
    traces = drawn_traces(LONG_TAIL, 1, 16, 32, 0)
    plain, adjusted = (
        train(replace(QUESTION, layers=1), traces, QUESTION.recipe(name), 0)[0]
        for name in ("ce", "ce_adjusted")
    )
    less = plain.parameters[3] - adjusted.parameters[3]
    rows = np.maximum(traces.copies, 0.5)
    np.testing.assert_allclose(less, np.log(rows / rows.sum()))
    np.testing.assert_array_equal(plain.parameters[0], adjusted.parameters[0])
