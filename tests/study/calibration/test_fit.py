"""What a fit may say: seconds, intervals, bounds, and what to measure next."""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.calibration import RIDGE, TRUTH, grid, synthetic

from simulator.hardware.gpu import load_gpu
from simulator.models.catalog import load_architecture, load_drafter
from simulator.speculation.performance import NAMES, TIME_NAMES, Points, predict
from simulator.study.calibration.bounds import Bounds, open_bounds, physical_bounds
from simulator.study.calibration.estimates import PLAIN_STEP
from simulator.study.calibration.fit import SCALE_WORDS, fit, half_sse
from simulator.study.calibration.measurements import QUANTITIES
from simulator.study.calibration.solve import Noise, at_bounds
from simulator.study.intervals import Determined


def fitted(points=None, names=("speedup",), bounds=None, **noise):
    measured = synthetic(points or grid(), names, **noise)
    return fit(measured, bounds or open_bounds(), starts=2)


def test_speedups_alone_give_no_seconds():
    found = fitted(noise=0.01)
    assert found.scale_free
    assert found.identifiability.rank == 9
    assert [d.words for d in found.identifiability.null_directions] == [SCALE_WORDS]
    assert found.missing == ("ar_step_s at batch 1",)
    units = {name: found.estimates[name].unit for name in NAMES}
    assert units == dict.fromkeys(TIME_NAMES, PLAIN_STEP) | {"lambda": "1", "s": "1"}


def test_bounds_in_seconds_give_no_seconds_either():
    pair = load_architecture("qwen2_57b_a14b"), load_drafter("qwen2_0_5b")
    found = fitted(bounds=physical_bounds(*pair, load_gpu("a800_sxm"), 2), noise=0.01)
    assert found.scale_free
    assert found.estimates["bias"].unit == PLAIN_STEP


def test_one_plain_step_gives_seconds():
    measured = synthetic(grid(), ("speedup", "ar_step_s"))
    one = np.full(measured.points.batch.size, np.nan)
    one[3] = measured.values["ar_step_s"][3]
    found = fit(replace(measured, values=measured.values | {"ar_step_s": one}), open_bounds())
    assert not found.scale_free
    assert found.identifiability.rank == 10
    assert found.missing == ()
    for name, expected in zip(NAMES, TRUTH, strict=True):
        assert found.estimates[name].value == pytest.approx(expected, rel=1e-3), name


def test_a_plain_step_is_the_unit():
    found = fitted()
    unit_s = predict(TRUTH, Points.of(1, 2, 2, 64, 0.9, RIDGE)).ar_step_s[0]
    assert found.plain_step.batch.tolist() == [1]
    assert found.estimates["bias"].value == pytest.approx(TRUTH.bias / unit_s, rel=1e-3)


def test_plain_steps_alone_leave_drafting_and_rejection_free():
    found = fitted(names=("ar_step_s",))
    free = {name for name, estimate in found.estimates.items() if not estimate.determined}
    assert free == {"draft_bias", "draft_k", "reject_bias", "reject_k"}
    # The least: a draft step at two batches, and rejection at two.
    kinds = [words.split()[0] for words in found.missing]
    assert sorted(kinds) == ["draft_step_s"] * 2 + ["reject_s"] * 2


def test_what_is_missing_determines_the_rest():
    names = ("ar_step_s", "draft_step_s", "reject_s")
    found = fitted(names=names)
    assert found.missing == ()
    assert found.identifiability.determined


def test_without_a_compute_bound_step_lambda_is_free():
    found = fitted(points=grid(batches=(1, 2, 3, 4), gammas=(1, 2), top_ks=(1, 2, 4)))
    assert not found.estimates["lambda"].determined
    assert found.estimates["lambda"].high == math.inf
    assert any("batch" in words for words in found.missing)


def test_no_more_values_than_unknowns_leave_intervals_unknown():
    points = grid(batches=(1, 8, 64, 160, 30), gammas=(2, 4), top_ks=(8,))
    found = fitted(points=points, names=("speedup",))
    assert found.measured.count() == 10
    measured = synthetic(grid(batches=(1, 8, 32), gammas=(2, 4), top_ks=(8,)))
    few = fit(measured, open_bounds(), starts=1)
    assert all(
        estimate.high == math.inf for estimate in few.estimates.values() if not estimate.bound
    )


def test_a_parameter_at_a_bound_is_named_and_held():
    bounds = open_bounds()
    bounds.low[9] = 1.05  # above the truth
    found = fitted(names=QUANTITIES, bounds=bounds, noise=0.01)
    base = found.estimates["s"]
    assert (base.bound, base.value, base.low, base.high) == ("lower", 1.05, 1.05, 1.05)


def test_intervals_stay_within_bounds():
    found = fitted(noise=0.1)
    for name, estimate in found.estimates.items():
        assert estimate.low >= 0, name
        assert estimate.low <= estimate.value <= estimate.high


def test_fixed_parameters_are_not_varied():
    found = fitted(names=QUANTITIES, bounds=open_bounds().without_experts())
    assert found.estimates["k2"].bound == found.estimates["k3"].bound == "fixed"
    assert found.solution.theta[2] == found.solution.theta[3] == 0


def test_a_dense_model_is_recovered_without_experts():
    truth = TRUTH._replace(k2=0.0, k3=0.0)
    table = np.array([(b, g) for g in (2, 4) for b in (1, 4, 16, 32, 64, 100, 160)], float).T
    points = Points.of(*table, 1, 1, 0.9, RIDGE)
    measured = synthetic(points, QUANTITIES, truth=truth)
    found = fit(measured, open_bounds().without_experts(), starts=3)
    assert found.solution.theta == pytest.approx(truth, rel=1e-3, abs=1e-9)
    assert (
        found.identifiability.rank == 8
    )  # the two held feel nothing, and are none of the unknowns


def test_errors_of_times_are_relative_and_of_speedups_not():
    found = fitted(names=("speedup", "ar_step_s"), noise=0.01)
    predicted = found.predict(found.measured.points)
    seen = found.measured.values
    assert found.errors("speedup") == pytest.approx(predicted.speedup - seen["speedup"])
    assert found.errors("ar_step_s") == pytest.approx(predicted.ar_step_s / seen["ar_step_s"] - 1)
    assert half_sse(found.errors("speedup")) == pytest.approx(
        0.5 * ((predicted.speedup - seen["speedup"]) ** 2).sum()
    )


def test_noise_weighs_times_against_speedups():
    measured = synthetic(grid(), ("speedup", "ar_step_s"), noise=0.05, seed=3)
    trust_times = fit(measured, open_bounds(), Noise(speedup=0.5, time=0.001), starts=2)
    trust_speedups = fit(measured, open_bounds(), Noise(speedup=0.001, time=0.5), starts=2)
    spread = {
        name: [np.std(f.errors(name)) for f in (trust_times, trust_speedups)]
        for name in ("ar_step_s", "speedup")
    }
    assert spread["ar_step_s"][0] < spread["ar_step_s"][1]
    assert spread["speedup"][0] > spread["speedup"][1]


def test_bounds_of_the_paper():
    pair = load_architecture("qwen2_57b_a14b"), load_drafter("qwen2_0_5b")
    bounds = physical_bounds(*pair, load_gpu("a800_sxm"), 2)
    for index in (0, 2, 4):
        assert bounds.high[index] == pytest.approx(5 * bounds.low[index])
    # An expert of Qwen2-57B is 55 MB a layer in bfloat16: half of 28 of them at 2.039 TB/s.
    expert_s = 3 * 3584 * 2560 * 2 * 28 / 2 / 2.039e12
    assert bounds.low[2] == pytest.approx(expert_s, rel=1e-6)
    assert (bounds.low[8], bounds.high[8], bounds.low[9], bounds.high[9]) == (0.2, 1, 1, 2)
    assert bounds.high[1] == bounds.high[3] == bounds.high[6] == math.inf


def test_rejection_measured_bounds_its_parameters():
    bounds = open_bounds().with_reject_at_most(2e-3)
    assert bounds.high[[6, 7]].tolist() == [2e-3, 2e-3]
    assert bounds.high[5] == math.inf


def test_an_ngram_drafter_and_a_dense_target_load_nothing_there():
    bounds = physical_bounds(
        load_architecture("opt_30b"), load_drafter("ngram"), load_gpu("a800_sxm"), 2
    )
    assert bounds.low[[2, 4]].tolist() == [0, 0]
    assert bounds.high[[2, 4]].tolist() == [math.inf, math.inf]
    assert bounds.low[0] > 0


def test_bounds_are_met_within_a_small_share_of_their_range():
    low, high = np.zeros(10), np.full(10, np.inf)
    low[8:], high[8:] = 1.0, 2.0
    theta = np.array([1e-9, 0.5, 0, 1, 1, 1, 1, 1, 1 + 1e-7, 2 - 1e-7])
    places = at_bounds(theta, Bounds(low, high, ""), step_s=1.0)
    assert places.tolist() == [-1, 0, -1, 0, 0, 0, 0, 0, -1, 1]


def test_a_line_has_the_textbook_interval():
    """Slope of a line through the origin: variance s^2 / sum(x^2)."""
    x = np.array([[1.0], [2.0], [3.0]])
    found = Determined(x, np.ones(1))
    assert (found.rank, found.freedom) == (1, 2)
    half = found.half_width(np.ones(1), sum_of_squares=8.0)
    assert half == pytest.approx(4.302653 * math.sqrt(8 / 2 / 14), rel=1e-6)


def test_a_sum_is_determined_where_its_terms_are_not():
    found = Determined(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), np.ones(2))
    assert found.holds(np.array([1.0, 1.0]))
    assert not found.holds(np.array([1.0, 0.0]))
    assert found.half_width(np.array([1.0, 0.0]), 1.0) == math.inf
    assert found.half_width(np.array([1.0, 1.0]), 1.0) < math.inf
