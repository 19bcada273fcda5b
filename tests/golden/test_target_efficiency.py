"""The MoE shape of MoESD appears from measured kernel tables alone, nothing fitted to the paper.

Published (arXiv 2505.19645, figures 2a and 3, Qwen2-57B-A14B on 2xA800, HumanEval, gamma 4): .54 at
B = 1, the minimum near B = 2, the maximum .83 at B = 16, .44 at B = 100. A100 tables stand for the
A800, which has the same memory and tensor cores.
"""

import numpy as np
import pytest
from helpers.step_models import step_model

BATCHES = np.array([1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 80, 100])
"""The paper's batch sizes."""

CONTEXT_TOKENS = 300
"""HumanEval prompts have 38-391 tokens; output lengths are not published."""


def curve(model, gamma, batches=BATCHES):
    costs = step_model(model, "a100_sxm", 2)
    return np.array([costs.target_efficiency(int(b), gamma, CONTEXT_TOKENS) for b in batches])


@pytest.mark.parametrize("gamma", [2, 3, 4])
def test_moe_target_efficiency_dips_peaks_and_falls(gamma):
    batches = np.arange(1, 129)
    efficiency = curve("qwen2_57b_a14b", gamma, batches)
    assert batches[efficiency.argmin()] <= 4
    assert 8 <= batches[efficiency.argmax()] <= 48
    assert efficiency[-1] < efficiency.max() - 0.1


@pytest.mark.parametrize("gamma", [2, 3, 4])
def test_dense_target_efficiency_does_not_rise(gamma):
    efficiency = curve("opt_30b", gamma)
    lowest_so_far = np.minimum.accumulate(efficiency)
    assert (efficiency / lowest_so_far).max() <= 1.03


def test_the_published_curve_is_met_without_any_fit():
    efficiency = dict(zip(BATCHES.tolist(), curve("qwen2_57b_a14b", 4), strict=True))
    assert efficiency[1] == pytest.approx(0.54, abs=0.05)
    assert efficiency[16] == pytest.approx(0.83, abs=0.05)
    # Beyond the peak the published curve falls further (.44 at 100): see docs/validation.md.
    assert efficiency[100] == pytest.approx(0.44, abs=0.15)
