"""What must hold of any machine, whatever it costs and however it scatters."""

import numpy as np
import pytest
import yaml
from helpers.machines import FakeMachine
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.kernels.microbench.cells import Cell
from simulator.kernels.microbench.figures import figures_of, metrics
from simulator.kernels.microbench.line import expert_line
from simulator.kernels.microbench.plan import QUICK, make_plan
from simulator.kernels.microbench.runner import (
    LEAST_REPEATS,
    MOST_REPEATS,
    Budget,
    Measurement,
    run_plan,
)
from simulator.kernels.microbench.writing import rows_of, spec_text
from simulator.kernels.schema import MONOTONE, OPERATORS
from simulator.quantities import KINDS, Quantity, quantity_lines

factors = st.lists(st.floats(0.5, 4.0), min_size=1, max_size=7)


def timed(noise, slower, budget_s):
    device = FakeMachine(noise=noise, slower=slower)
    plan = make_plan(QUICK, "bfloat16", 1e6)
    return device, plan, run_plan(plan, device, budget_s, clock=device.clock)


@settings(max_examples=25)
@given(noise=factors, slower=st.floats(0.1, 1e4), budget_s=st.floats(1.0, 100.0))
def test_every_cell_is_timed_or_left_out_and_none_twice(noise, slower, budget_s):
    _, plan, results = timed(noise, slower, budget_s)
    seen = [m.cell for m in results.tables] + list(results.skipped)
    assert sorted(map(repr, seen)) == sorted(repr(c) for series in plan.series for c in series)
    assert [m.cell for m in results.line] == list(plan.line)
    for found in results.tables:
        assert LEAST_REPEATS <= len(found.samples_s) <= MOST_REPEATS


@settings(max_examples=25)
@given(noise=factors, slower=st.floats(0.1, 100.0))
def test_figures_are_finite_and_peaks_are_peaks(noise, slower):
    _, _, results = timed(noise, slower, 50.0)
    figures = figures_of(results)
    found = metrics(results, figures)
    assert np.isinf(found.pop("experts_bandwidth")) == (figures.line.per_expert_s <= 0)
    assert all(map(np.isfinite, found.values()))
    for found in (*results.tables, *results.line):
        rate = found.cell.work().flops / found.seconds
        assert rate <= figures.peak_flops.get(found.cell.dtype, 0.0) * (1 + 1e-12)
    assert 0 <= figures.median_spread <= figures.worst_spread
    assert 0 <= figures.line.r_squared <= 1 + 1e-12


@settings(max_examples=25)
@given(noise=factors)
def test_products_in_the_table_never_fall_as_tokens_grow(noise):
    device, _, results = timed(noise, 1.0, 50.0)
    mine = [m for m in results.tables if m.cell.operator == "gemm" and m.cell.dtype == "bfloat16"]
    rows = rows_of(OPERATORS["gemm"], mine, device)
    for n, k in {(m.cell.keys["n"], m.cell.keys["k"]) for m in mine}:
        group = (rows["n"] == n) & (rows["k"] == k)
        order = np.argsort(rows["m"][group])
        assert (np.diff(rows[MONOTONE][group][order]) >= -1e-15).all()


@given(fixed_s=st.floats(0, 1), per_expert_s=st.floats(1e-6, 1), scale=st.floats(0.01, 100))
def test_the_line_finds_its_constants_and_its_r2_has_no_unit(fixed_s, per_expert_s, scale):
    def points(factor):
        cells = make_plan(QUICK, "bfloat16", 1e6).line[: len(QUICK.line_tokens)]
        return [
            Measurement(c, (factor * (fixed_s + per_expert_s * 8 * c.keys["tokens"]),))
            for c in cells
        ]

    line, scaled = expert_line(points(1.0)), expert_line(points(scale))
    assert line.per_expert_s == pytest.approx(per_expert_s, rel=1e-6)
    assert line.fixed_s == pytest.approx(fixed_s, rel=1e-6, abs=1e-6 * per_expert_s)
    assert scaled.r_squared == pytest.approx(line.r_squared, rel=1e-9)
    assert scaled.bandwidth == pytest.approx(line.bandwidth / scale, rel=1e-6)


def test_times_that_fall_with_experts_imply_no_bandwidth():
    cells = make_plan(QUICK, "bfloat16", 1e6).line[: len(QUICK.line_tokens)]
    falling = [Measurement(c, (1.0 / c.keys["tokens"],)) for c in cells]
    assert expert_line(falling).bandwidth == float("inf")


@given(st.integers(1, 50), st.floats(0.0, 100.0))
def test_a_budget_is_shared_fairly_and_never_goes_below_nothing(cells, passed_s):
    now = {"s": 0.0}
    budget = Budget(50.0, cells, lambda: now["s"])
    assert budget.fair_s() == 50.0 / cells
    now["s"] = passed_s
    budget.done(cells - 1)
    assert budget.fair_s() == max(0.0, 50.0 - passed_s)
    budget.done(1)
    assert budget.fair_s() >= 0.0


text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)


@given(st.floats(1e-12, 1e18), text, text, st.sampled_from(KINDS))
def test_quantities_are_read_as_they_were_written(value, unit, source, kind):
    quantity = Quantity(value, unit, source, kind)
    content = yaml.safe_load("\n".join(quantity_lines({"memory": quantity})))
    assert Quantity.read(content["memory"], "here") == quantity


@pytest.mark.parametrize("title", ["Intel(R) Core(TM): #1", 'a "quoted" one', "plain"])
def test_any_name_of_a_processor_makes_a_spec_that_can_be_read(title):
    device, _, results = timed((1.0,), 1.0, 50.0)
    machine = type(device.machine)(
        title, device.machine.memory, device.machine.cache, "fake", "1", "2 threads", ("careful",)
    )
    text = spec_text(machine, figures_of(results), "a test")
    assert yaml.safe_load(text)["title"] == title
    assert "# careful" in text


def test_launches_move_and_compute_nothing():
    assert Cell("launch", "bfloat16", {"kernels": 3}).work() == (0.0, 0.0)
