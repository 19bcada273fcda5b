"""Shipped profiles against the published acceptance lengths that they were fitted to."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from simulator.speculation.profiled import AcceptanceShape
from simulator.speculation.profiles import read_profile
from simulator.study.acceptance_profiles import (
    FITTED,
    check_offsets,
    check_profiles,
    fit_shape,
    fit_single,
    lengths_of,
    metrics,
)

DATA = os.environ.get("MOESIM_TEST_DATA")
GOLDEN = {
    "qwen3_5_mtp": ("qwen3.5_mtp", "qwen3.5-397b-a17b-nvfp4", "thinking_off"),
    "qwen3_5_mtp_thinking": ("qwen3.5_mtp", "qwen3.5-397b-a17b-nvfp4", "thinking_on"),
    "minimax_m3_eagle3": ("minimaxm3_eagle3", "minimax-m3", "thinking_off"),
    "minimax_m3_eagle3_thinking": ("minimaxm3_eagle3", "minimax-m3", "thinking_on"),
    "deepseek_v4_mtp": ("dsv4_mtp", "deepseek-v4-pro", "thinking_off"),
    "deepseek_v4_mtp_thinking": ("dsv4_mtp", "deepseek-v4-pro", "thinking_on"),
}


@pytest.fixture(scope="module")
def checks():
    return check_profiles()


def test_every_profile_meets_what_it_was_fitted_to(checks):
    assert {check.profile: check.fit_error for check in checks if check.fit_error > 0.07} == {}


def test_short_drafts_predict_long_ones_better_than_one_rate_does(checks):
    figures = metrics(checks)
    assert figures["extrapolation_error_median"] <= 0.15
    assert figures["extrapolation_error_max"] < figures["single_rate_error_max"]
    assert figures["extrapolation_error_median"] < figures["single_rate_error_median"]


def test_so_it_does_for_lengths_measured_in_runs_of_their_own(checks):
    errors = [
        error
        for check in checks
        if check.profile in GOLDEN
        for error in check.beyond(check.extrapolated)
    ]
    assert np.median(errors) <= 0.15


@pytest.mark.parametrize("name", ["qwen3_5_mtp", "deepseek_v4_mtp_thinking", "kimi_k2_7_dspark"])
def test_the_shipped_shape_is_the_fitted_one(name):
    profile = read_profile(name)
    (measured,) = profile.tasks.values()
    lengths = {gamma: length for gamma, length in measured.lengths.items() if gamma <= FITTED}
    again = fit_shape(lengths, profile.common)
    gammas = sorted(lengths)
    assert lengths_of(again, gammas) == pytest.approx(lengths_of(measured.shape, gammas), abs=2e-3)


@pytest.mark.skipif(DATA is None, reason="MOESIM_TEST_DATA names no folder of published figures")
@pytest.mark.parametrize("name", GOLDEN)
def test_the_lengths_are_those_published(name):
    file, model, mode = GOLDEN[name]
    path = Path(str(DATA)) / "acceptance" / f"golden_al_{file}.yaml"
    published = yaml.safe_load(path.read_text(encoding="utf-8"))[model][mode]
    assert read_profile(name).tasks["coding"].lengths == published


def test_a_known_shape_is_found_again():
    true = AcceptanceShape(level=1.2, decay=0.85, spread=0.28, gain=1.53)
    gammas = [1, 2, 3, 4]
    lengths = dict(zip(gammas, lengths_of(true, gammas).tolist(), strict=True))
    found = fit_shape(lengths, true)
    assert (found.level, found.decay) == pytest.approx((1.2, 0.85), abs=1e-4)


def test_rates_that_rise_along_the_draft_are_told_by_spread():
    true = AcceptanceShape(level=0.2, spread=1.4, gain=1.53)
    gammas = [1, 2, 3, 4]
    lengths = dict(zip(gammas, lengths_of(true, gammas).tolist(), strict=True))
    found = fit_shape(lengths, AcceptanceShape(level=0.0, spread=0.28, gain=1.53))
    assert (found.decay, found.spread) == (1.0, pytest.approx(1.4, abs=1e-3))


def test_one_rate_is_found_again():
    alpha = 0.7
    lengths = {gamma: (1 - alpha ** (gamma + 1)) / (1 - alpha) for gamma in (1, 2, 3)}
    level = fit_single(lengths).level
    assert 1 / (1 + np.exp(-level)) == pytest.approx(alpha, abs=1e-5)


def test_assumed_log_odds_of_tasks_are_near_those_measured():
    assert max(abs(offset.assumed - offset.measured) for offset in check_offsets()) < 0.3
