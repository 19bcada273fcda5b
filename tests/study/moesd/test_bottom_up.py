"""MoESD's cells simulated: what runs, how it is compared, and that theory agrees."""

import csv

import numpy as np
import pytest
from helpers.moesd import BATCHES, profile, reduced

from simulator.errors import ConfigError
from simulator.study.moesd.bottom_up import plan_bottom_up
from simulator.study.moesd.choices import closed_form, moe_terms
from simulator.study.moesd.experiment import (
    DENSE,
    MOE,
    at_batches,
    humaneval_alpha,
    published_alpha,
    published_sigma,
    speedup_curves,
)
from simulator.study.moesd.layers import layer_times
from simulator.study.moesd.runs import Cell, scenario, token_rate, token_rates
from simulator.study.moesd.validate import cell_rows, prepare, save_cells


def test_a_cell_is_two_a800_with_the_drafter_on_one():
    built = scenario(Cell(MOE, 8, gamma=4, alpha=0.9), profile())
    assert (built.gpu.name, built.parallelism.gpus) == ("a800_sxm", 2)
    assert (built.drafter.name, built.drafter.tensor_parallel) == ("qwen2_0_5b", 1)
    assert built.workload.concurrency == 8


def test_k_is_set_in_the_router_and_left_alone_in_a_dense_model():
    assert scenario(Cell(MOE, 1, top_k=16), profile()).config.model.moe.top_k == 16
    assert scenario(Cell(DENSE, 1), profile()).config.model.moe is None


def test_every_curve_but_the_repeated_one_is_reproduced():
    assert len(speedup_curves(MOE)) == 8
    assert {(c.temperature, c.gamma) for c in speedup_curves(MOE)} == {
        (t, g) for t in (0, 1) for g in (2, 3, 4)
    }
    assert [c.gamma for c in speedup_curves(DENSE)] == [2, 3, 4]


def test_acceptance_is_that_of_table_1():
    for curve in speedup_curves(MOE):
        alpha = published_alpha(curve)
        yielded = sum(alpha**i for i in range(curve.gamma + 1)) / (curve.gamma + 1)
        assert yielded == pytest.approx(published_sigma(curve))
    assert humaneval_alpha() == pytest.approx(0.945, abs=0.01)


def test_a_plain_run_is_shared_by_the_curves():
    validation = reduced()
    cells = validation.prepared.plans["moe"].cells
    assert len(cells) == len(set(cells))
    plain = [cell for cell in cells if not cell.gamma]
    assert len(plain) == len(BATCHES) * 6  # one per batch and K
    # Eight curves, and fig. 4 at the other five K and two draft lengths.
    assert len(cells) - len(plain) == len(BATCHES) * (8 + 5 * 2)


def test_a_run_decodes_at_the_speed_of_the_cost_model():
    cell = Cell(MOE, 12)
    rate = token_rate(cell, profile())
    # Contexts grow from 150 to 450 tokens: between the steps at both ends.
    costs = scenario(cell, profile()).deployment(0).costs[-1]
    slow, fast = (12 / costs.decode_s(12, 12 * context) for context in (450, 150))
    assert slow <= rate <= fast


def test_rates_come_by_label_and_advance_once_a_cell():
    cells = [Cell(DENSE, 2), Cell(DENSE, 2), Cell(DENSE, 4)]
    told = []
    rates = token_rates({"a": (profile(), cells)}, 1, told.append)
    assert set(rates["a"]) == set(cells)
    assert told == [1, 1]
    assert rates["a"][cells[2]] > rates["a"][cells[0]]


@pytest.mark.slow
def test_rates_do_not_depend_on_the_number_of_processes():
    plans = {"a": (profile(), [Cell(MOE, 3, 2, 0.8), Cell(MOE, 3), Cell(DENSE, 5)])}
    assert token_rates(plans, 2, lambda _: None) == token_rates(plans, 1, lambda _: None)


def test_the_simulation_shows_the_closed_form():
    validation = reduced()
    simulated = validation.found.moe.speedups
    for ours, theory in zip(
        simulated, closed_form(moe_terms(validation.prepared.moe.engine)), strict=True
    ):
        expected = [theory.value[theory.curve.batch.index(batch)] for batch in BATCHES]
        assert ours.value == pytest.approx(expected, rel=0.02)


def test_roles_mark_what_calibration_looked_at():
    validation = reduced()
    marked = {
        (row["figure"], row["model"], row["gamma"], row["top_k"], row["batch"])
        for row in cell_rows(validation)
        if row["role"] == "calibrated"
    }
    assert marked == {
        *((figure, MOE, 4, 8, batch) for figure in ("2a", "4", "6") for batch in (8, 60)),
        ("6", DENSE, 4, None, 60),
    }
    assert all(one.predicted.all() for one in validation.found.moe_uncalibrated.speedups)
    assert all(one.predicted.all() for one in validation.found.dense_uncalibrated.speedups)


def test_the_file_of_cells_holds_every_cell(tmp_path):
    path = save_cells(reduced(), tmp_path / "new" / "cells.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(BATCHES) * (8 + 3 + 2 + 12)
    assert {row["role"] for row in rows} == {"predicted", "calibrated"}
    assert all(float(row["simulated"]) > 0 for row in rows)


def test_cells_that_cannot_be_written_are_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir"):
        save_cells(reduced(), tmp_path / "file" / "cells.csv")


def test_a_batch_that_was_not_published_is_refused():
    with pytest.raises(ConfigError, match=r"batch=7 was not published; choose from 1, 2, 4"):
        prepare([8, 7])


def test_all_batches_are_laid_out_by_default():
    prepared = reduced().prepared
    plans = plan_bottom_up(prepared.moe, prepared.dense)
    assert {len(curve.batch) for plan in plans.values() for curve, _ in plan.curves} == {19}
    few = at_batches(plans["dense"].curves[0][0], BATCHES)
    assert few == prepared.plans["dense"].curves[0][0]


def test_layers_take_the_time_that_the_paper_states():
    """App. C.1 fixes the absolute scale; nothing is calibrated on it."""
    found = {layer.model: layer for layer in layer_times(profile())}
    assert found[MOE].error == pytest.approx(0.0, abs=0.05)
    assert found["mixtral_8x7b"].error == pytest.approx(0.0, abs=0.10)
    for layer in found.values():
        assert layer.our_experts_s == pytest.approx(layer.experts_s, rel=0.15)


def test_uncalibrated_curves_lack_the_draft_overhead():
    validation = reduced()
    pairs = zip(
        validation.found.moe_uncalibrated.speedups, validation.found.moe.speedups, strict=True
    )
    assert all(np.all(before.value > after.value) for before, after in pairs)
