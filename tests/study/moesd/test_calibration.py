"""Calibration on MoESD's figures: it meets what it looked at, and says what it could not."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.moesd import profile

from simulator.errors import TableError
from simulator.speculation.theory import expected_tokens_per_round
from simulator.study.moesd import calibration
from simulator.study.moesd.choices import other_pairs
from simulator.study.moesd.experiment import DENSE, MOE, reference_curve
from simulator.study.moesd.terms import terms


@pytest.fixture(scope="module")
def readings():
    return calibration.calibrate_moe(profile())


def test_step_times_are_those_of_table_1_at_the_batches_of_the_peaks():
    assert calibration.published_step_times() == pytest.approx(
        {8: 0.01593, 12: (0.01889 + 0.01913) / 2, 20: 0.0212}
    )


def test_published_overhead_is_eq_4_solved_for_it():
    found = calibration.published_overhead()
    assert found[8] == pytest.approx(0.91 * 5 / 2.18 - 1 / 0.704, abs=1e-9)
    assert found[60] == pytest.approx(1.86, abs=0.01)


def test_the_kept_reading_meets_both_overheads_exactly(readings):
    kept = readings[-1]
    at = terms(MOE, 4, calibration.MOE_PAIR, kept.engine)
    published = calibration.published_overhead()
    wanted = [published[batch] for batch in calibration.MOE_PAIR]
    assert at.added_s / at.plain_s == pytest.approx(wanted)


def test_the_kept_reading_meets_the_step_times_up_to_their_unit(readings):
    kept = readings[-1]
    plain_s = terms(MOE, 4, calibration.STEP_BATCHES, kept.engine).plain_s
    published = np.array(list(calibration.published_step_times().values()))
    assert plain_s / published == pytest.approx([kept.numbers["unit_ms"]] * 3, rel=0.025)


def test_readings_as_milliseconds_fail_and_the_unit_is_left_open(readings):
    assert [bool(reading.negative) for reading in readings] == [True, True, False]
    assert {"plain_step_s", "draft_step_s"} <= set(readings[0].negative)
    # However requests overlap, up to the peak of the bandwidth.
    assert readings[1].negative == ["draft_step_s"]
    assert 1.0 < readings[1].numbers["bandwidth_fraction"] <= 1.25
    assert 0.05 < readings[1].numbers["routing_across_requests"] < 1.0


def test_the_overlap_reading_meets_the_step_times_worse_than_the_kept_one_with_more_numbers(
    readings,
):
    plain_s = terms(MOE, 4, calibration.STEP_BATCHES, readings[1].engine).plain_s
    published = list(calibration.published_step_times().values())
    assert plain_s == pytest.approx(published, rel=0.04)
    assert np.max(np.abs(plain_s / published - 1)) > 0.025


def test_at_most_six_numbers_per_pair(readings):
    assert len(readings[-1].numbers) == 4
    assert len(calibration.calibrate_dense(profile()).numbers) == 2


def test_nothing_below_zero_is_kept(readings):
    engine = readings[-1].engine
    names = ("plain_step_s", "plain_request_s", "draft_step_s", "draft_request_s")
    assert all(getattr(engine, name) >= 0 for name in names)


def test_when_every_reading_fails_nothing_is_calibrated():
    # Draft steps as long as those of the target leave no time for the host.
    slow = replace(profile(), sampling_passes=2000)
    with pytest.raises(TableError, match=r"every reading.*vllm_v0.*draft_request_s"):
        calibration.calibrate_moe(slow)


def test_the_dense_calibration_meets_both_speedups_exactly():
    found = calibration.calibrate_dense(profile())
    curve = reference_curve(DENSE)
    at = terms(DENSE, 4, calibration.DENSE_PAIR, found.engine)
    tokens = float(expected_tokens_per_round(found.alpha, 4))
    published = [curve.value[curve.batch.index(batch)] for batch in calibration.DENSE_PAIR]
    assert at.speedup(tokens) == pytest.approx(published)
    assert 0 < found.alpha < 1
    assert found.numbers["draft_request_s"] > 0


def test_host_time_put_in_comes_out_again():
    """Recovery: overheads of a made-up engine, by the numbers that its curves would show."""
    truth = replace(profile(), draft_step_s=4e-4, draft_request_s=2e-4)
    known = terms(MOE, 4, calibration.MOE_PAIR, profile())
    with_truth = terms(MOE, 4, calibration.MOE_PAIR, truth)
    shown = dict(zip(calibration.MOE_PAIR, with_truth.added_s / with_truth.plain_s, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "published_overhead", lambda: shown)
        step_s, request_s = calibration.draft_host(known, calibration.MOE_PAIR)
    assert step_s == pytest.approx(4e-4 - profile().draft_step_s)
    assert request_s == pytest.approx(2e-4)


def test_more_draft_host_time_in_closed_form_is_that_of_the_cost_model():
    base = terms(MOE, 3, (8, 60), profile())
    truth = replace(profile(), draft_step_s=profile().draft_step_s + 1e-4, draft_request_s=2e-4)
    assert base.with_draft_host(1e-4, 2e-4).added_s == pytest.approx(
        terms(MOE, 3, (8, 60), truth).added_s
    )
    assert base.with_round_host(3e-4, 6e-4).added_s == pytest.approx(
        base.with_draft_host(1e-4, 2e-4).added_s
    )


def test_other_pairs_hold_the_chosen_one_and_are_not_all_alike(readings):
    choices = {choice.pair: choice for choice in other_pairs(readings[-1])}
    assert len(choices) == 45
    chosen = choices[calibration.MOE_PAIR]
    assert chosen.numbers["draft_step_s"] == pytest.approx(readings[-1].engine.draft_step_s)
    kept = [choice.error for choice in choices.values() if not choice.refused]
    assert 30 <= len(kept) < 45
    assert min(kept) < chosen.error < max(kept)  # it was given, not picked
    assert max(kept) < 0.2
