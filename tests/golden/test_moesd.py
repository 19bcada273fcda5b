"""How far MoESD (arXiv 2505.19645) is reproduced bottom-up; aims from the paper's own shapes.

Aims: speedups of the MoE within 10 % and of the dense pair within 12 % over the cells that the
calibration did not see, peaks within 8 %, the peak batch in 8 to 24, the MoE ahead of the dense
pair from a batch between 12 and 20 on, and a window that widens as fewer experts are used. All
are met. What is not met is said where it is asserted: where K is cut to 4, a batch of 1 is best in
the simulation, 12 in the paper.
"""

import numpy as np
import pytest
from helpers.moesd import profile

from simulator.costs.engine import load_engine
from simulator.study.moesd.bottom_up import ENGINE, Plan, reproduce
from simulator.study.moesd.calibration import calibrate_dense, calibrate_moe
from simulator.study.moesd.choices import closed_form, moe_terms, other_models
from simulator.study.moesd.experiment import (
    DENSE,
    MOE,
    at_batches,
    efficiency_curve,
    humaneval_alpha,
    published_alpha,
    reference_curve,
    sparsity_curves,
)
from simulator.study.moesd.scores import crossover, mean_error, peak_error
from simulator.study.moesd.terms import terms
from simulator.study.moesd.validate import bottom_up_metrics, prepare, validate_moesd

FEWER = (1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 60, 80, 100)
"""Batches at which K is varied."""


@pytest.fixture(scope="module")
def readings():
    return calibrate_moe(profile())


@pytest.fixture(scope="module")
def simulated(readings):
    """Temperature 0, gamma 4 of both pairs, and of four K at fewer batches, end to end."""
    moe, dense = reference_curve(MOE), calibrate_dense(profile())
    opt = reference_curve(DENSE)
    sparse = [
        at_batches(curve, FEWER)
        for curve in sparsity_curves()
        if curve.gamma == 4 and curve.top_k > 2
    ]
    alpha, one = published_alpha(moe), [8]
    plans = {
        "moe": Plan(readings[-1].engine, [(curve, alpha) for curve in (moe, *sparse)]),
        "moe_uncalibrated": Plan(profile(), [(at_batches(moe, one), alpha)]),
        "dense": Plan(dense.engine, [(opt, dense.alpha)]),
        "dense_uncalibrated": Plan(profile(), [(at_batches(opt, one), humaneval_alpha())]),
    }
    return reproduce(plans, 1, lambda _: None)


def test_speedups_of_the_moe_by_the_closed_form(readings):
    found = closed_form(moe_terms(readings[-1].engine))
    assert mean_error(found) == pytest.approx(0.063, abs=0.006)  # aim: 0.10
    assert peak_error(found) == pytest.approx(0.073, abs=0.007)  # aim: 0.08
    assert all(8 <= one.best_batch <= 24 for one in found)
    assert all(8 <= one.published_best_batch <= 24 for one in found)


def test_what_the_calibration_is_worth_and_what_batch_expansion_is(readings):
    found = {choice.title: choice for choice in other_models(profile(), readings)}
    assert found["nothing calibrated"].error == pytest.approx(0.50, abs=0.03)
    assert found["kept reading, no batch expansion"].error > 0.085
    assert found["kept reading, no batch expansion"].peak_error > 0.10
    # Gamma 4 alone cannot tell where host time belongs: per round it would miss the aim narrowly.
    assert found["kept reading, host time per round"].error == pytest.approx(0.103, abs=0.01)


@pytest.mark.parametrize(("model", "plain", "expanded"), [(MOE, 0.105, 0.062), (DENSE, 0.38, 0.07)])
def test_batch_expansion_explains_target_efficiency_with_nothing_calibrated(model, plain, expanded):
    curve = efficiency_curve(model)
    for engine, expected in (("vllm", plain), (ENGINE, expanded)):
        ours = terms(model, 4, curve.batch, load_engine(engine)).target_efficiency
        error = np.mean(np.abs(ours / np.array(curve.value) - 1))
        assert error == pytest.approx(expected, abs=0.015)


def test_simulated_speedups_at_gamma_4(simulated):
    assert mean_error(simulated.moe.speedups) == pytest.approx(0.056, abs=0.015)
    assert mean_error(simulated.dense.speedups) == pytest.approx(0.105, abs=0.015)  # aim: 0.12


def test_the_moe_overtakes_the_dense_pair_where_the_paper_says(simulated):
    moe, dense = simulated.moe.speedups[0], simulated.dense.speedups[0]
    ours = crossover(moe.curve.batch, moe.value, dense.value)
    published = crossover(moe.curve.batch, moe.published, dense.published)
    assert 12 <= ours <= 20
    assert ours == pytest.approx(published, abs=2)


def test_the_window_widens_as_fewer_experts_are_used(simulated):
    found = {one.found.curve.top_k: one for one in simulated.sparsity}
    widths = [found[top_k].ours.width for top_k in (32, 16, 8, 4)]
    assert np.all(np.diff(widths) > 5)
    published = [found[top_k].published.width for top_k in (32, 16, 8, 4)]
    assert np.all(np.diff(published) > 5)
    assert mean_error([one.found for one in found.values()]) < 0.08


def test_the_best_batch_grows_until_attention_dominates(simulated):
    best = {one.found.curve.top_k: one.ours.best_batch for one in simulated.sparsity}
    assert best[32] <= best[16] <= best[8]
    # With K cut, attention dominates more and more: ours is best at batch 1 at K 4 already, by 2 %
    # over its second peak; the paper's best is 12.
    four = next(one for one in simulated.sparsity if one.found.curve.top_k == 4)
    later = four.found.value[np.array(four.found.curve.batch) >= 8]
    assert later.max() == pytest.approx(four.found.value.max(), rel=0.03)


@pytest.mark.slow
def test_every_cell_simulated():
    validation = validate_moesd(prepare(), workers=2, advance=lambda _: None)
    figures = bottom_up_metrics(validation)
    assert figures["moe_speedup_mape"] == pytest.approx(0.062, abs=0.006)  # aim: 0.10
    assert figures["dense_speedup_mape"] == pytest.approx(0.099, abs=0.01)  # aim: 0.12
    assert figures["peak_value_error"] <= 0.08
    assert figures["uncalibrated_moe_mape"] == pytest.approx(0.50, abs=0.03)
    assert figures["uncalibrated_dense_mape"] == pytest.approx(0.25, abs=0.03)
    assert figures["moe_target_efficiency_mape"] < 0.06
    assert figures["dense_target_efficiency_mape"] < 0.08
    assert 12 <= figures["crossover_batch"] <= 20
    assert figures["window_32"] < figures["window_16"] < figures["window_8"] < figures["window_4"]
    assert all(8 <= one.best_batch <= 24 for one in validation.found.moe.speedups)
    assert figures["best_batch_1"] == figures["best_batch_2"] == 1  # as published, or at 2
