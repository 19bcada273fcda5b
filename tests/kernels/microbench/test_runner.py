"""Timing a plan: repeats, spread, the budget, on a machine with a clock of its own."""

from dataclasses import replace

import pytest
from helpers.machines import FakeMachine

from simulator.kernels.microbench.cells import Cell
from simulator.kernels.microbench.plan import QUICK, SHARES, STANDARD, Plan, make_plan
from simulator.kernels.microbench.runner import (
    LEAST_REPEATS,
    LINE_REPEATS,
    MOST_REPEATS,
    Measurement,
    expected_s,
    measure,
    run_plan,
)


def gemm(m, n=64, k=64, dtype="bfloat16"):
    return Cell("gemm", dtype, {"n": n, "k": k, "m": m})


def test_one_run_warms_up_and_is_not_counted():
    device = FakeMachine(noise=(100.0, *[1.0] * MOST_REPEATS))
    (found,) = measure([gemm(1)], device, 1.0, device.clock)
    assert device.runs == 1 + MOST_REPEATS
    assert set(found.samples_s) == {device.seconds(gemm(1))}


def test_median_and_spread_of_uneven_repeats():
    found = Measurement(gemm(1), (1.0, 2.0, 3.0, 4.0, 100.0))
    assert found.seconds == 3.0
    assert found.spread == pytest.approx((4.0 - 2.0) / 3.0)


def test_repeats_go_round_so_that_a_slow_spell_meets_all_cells():
    device = FakeMachine(noise=(1.0, 1.0, *[1.0, 1.0, 5.0, 5.0] * 8))
    first, second = measure([gemm(1), gemm(1)], device, 1.0, device.clock)
    assert first.samples_s == second.samples_s
    assert first.spread > 0


@pytest.mark.parametrize("budget_s", [0.0, 1e9])
def test_repeats_stop_when_time_is_up_but_never_below_what_a_median_needs(budget_s):
    device = FakeMachine()
    (found,) = measure([gemm(1)], device, budget_s, device.clock)
    assert len(found.samples_s) == (MOST_REPEATS if budget_s else LEAST_REPEATS)


def test_a_fast_machine_times_every_cell():
    device = FakeMachine()
    plan = make_plan(STANDARD, "bfloat16", 1e6)
    seen = []
    results = run_plan(plan, device, 100.0, seen.append, device.clock)
    assert results.skipped == ()
    assert len(results.tables) + len(results.line) == plan.cells == sum(seen)
    assert {len(m.samples_s) for m in results.line} == {LINE_REPEATS}


@pytest.mark.parametrize("slower", [30, 300, 3000])
def test_a_slow_machine_leaves_out_the_ends_of_series_and_keeps_to_the_time(slower):
    device = FakeMachine(slower=slower)
    plan = make_plan(STANDARD, "bfloat16", 1e6)
    seen = []
    results = run_plan(plan, device, 100.0, seen.append, device.clock)
    assert sum(seen) == plan.cells
    assert results.skipped
    timed = {m.cell.operator for m in results.tables}
    assert timed == set(SHARES)
    shortest = sum(
        (1 + LEAST_REPEATS) * device.seconds(cell)
        for cell in (*plan.line, *(series[0] for series in plan.series))
    )
    assert device.now_s < 100.0 + 2 * shortest
    for series in plan.series:
        left_out = [cell in results.skipped for cell in series]
        assert left_out == sorted(left_out)  # the small ones first, the large ones left out
        assert not left_out[0]


def test_an_operator_that_takes_its_time_leaves_that_of_others_alone():
    """Series of products that are far too slow: attention is timed as fully as without them."""
    quick = make_plan(QUICK, "bfloat16", 1e6)
    slow = tuple((gemm(1, n=2**14, k=2**14), gemm(2**14, n=2**14, k=2**14)) for _ in range(9))
    attention = tuple(s for s in quick.series if s[0].operator == "decode_attention")
    device = FakeMachine(slower=20.0)
    results = run_plan(Plan((*slow, *attention), quick.line), device, 10.0, clock=device.clock)
    assert {cell.operator for cell in results.skipped} == {"gemm"}
    timed = [m for m in results.tables if m.cell.operator == "decode_attention"]
    assert len(timed) == sum(map(len, attention))


def test_expected_time_grows_with_whichever_of_bytes_and_flops_grows_more():
    last = Measurement(gemm(1), (1.0,))
    small, large = last.cell.work(), gemm(64).work()
    assert large.flops / small.flops > large.moved_bytes / small.moved_bytes
    assert expected_s(last, gemm(64)) == pytest.approx(64.0)
    probe = Cell("launch", "bfloat16", {"kernels": 3})
    assert expected_s(Measurement(probe, (2.0,)), replace(probe)) == 2.0
