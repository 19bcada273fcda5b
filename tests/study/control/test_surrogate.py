"""Surrogates of shipped instances: their structure, what they leave out, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.suites import some
from study.control.conftest import derive

from simulator.compose import compose
from simulator.errors import ConfigError, TableError
from simulator.speculation.control.assumptions import process_report
from simulator.study.control.instance import Instance, instance_names, read_instance
from simulator.study.control.surrogate import surrogate


def test_the_assumptions_of_the_method_hold_on_the_serving_instance(serving):
    report = process_report(serving.pomdp)
    assert report.broken == ()
    assert (report.states, report.symbols) == (4, 6)
    assert report.smallest_transition > 0
    assert min(report.transition_sigmas) > 0.1


def test_transitions_are_the_phases_times_the_drain(serving):
    """T_a((p, b) -> (p', b')) = P(p, p') Q_{a,p}(b, b')."""
    blocks = serving.pomdp.transitions.reshape(3, 2, 2, 2, 2)  # a, p, b, p', b'
    phases = blocks.sum(axis=4)
    assert phases == pytest.approx(np.broadcast_to(phases[:1, :, :1], phases.shape))
    drained = blocks / phases[..., None]
    assert drained[:, :, :, 0] == pytest.approx(drained[:, :, :, 1])
    stay = 0.5 + 0.5 * (1 - 2 / 160) ** 12  # 12 requests in 30 s
    assert phases[0, 0, 0, 0] == pytest.approx(stay)


def test_long_drafts_drain_easy_phases_and_short_ones_hard_phases(serving):
    leaving = serving.drains.leaving_per_s[:, :, :16]
    assert (leaving[2, 0] > leaving[0, 0])[7:].all()
    assert (leaving[2, 1] < leaving[0, 1]).all()
    assert (leaving[:, 0] > leaving[:, 1]).all()
    blocks = serving.pomdp.transitions.reshape(3, 2, 2, 2, 2).sum(axis=3)
    assert blocks[2, 0, 1, 0] > blocks[0, 0, 1, 0]
    assert blocks[2, 1, 1, 0] < blocks[0, 1, 1, 0]


def test_the_backlog_is_seen_and_the_phase_guessed(serving):
    shown = serving.pomdp.observations.reshape(2, 2, 3, 2)
    assert shown[:, 0, :, 1].max() == shown[:, 1, :, 0].max() == 0.0
    assert shown[0, :, 2].sum() > 1.2
    assert shown[1, :, 2].sum() < 0.1
    assert serving.acceptance_edges == pytest.approx((0.4 + 0.5 / 3, 0.4 + 1 / 3))


def test_a_place_that_is_free_scores_one_and_a_queue_little(serving):
    low, high = serving.pomdp.rewards[:2]
    assert low == pytest.approx(1.0)
    assert 0.0 < high < 0.2


def test_lumping_costs_little_and_keeps_the_order(serving):
    assert serving.gains == pytest.approx(serving.full_gains, abs=0.03)
    assert np.argsort(serving.gains).tolist() == np.argsort(serving.full_gains).tolist()


def test_states_and_assumptions_have_names(serving):
    assert serving.states[0] == "easy, 0-15 requests"
    assert serving.states[-1] == "hard, 16+ requests"
    assert any("workload.rate = 0.4 request/s (assumed" in said for said in serving.assumptions)


@pytest.mark.slow
def test_a_swinging_load_spreads_each_bucket_over_its_levels():
    steady, swinging = derive("swinging", "workload.swing=null"), derive("swinging")
    assert len(swinging.drains.arrivals_per_s) == 6
    assert swinging.drains.mean_arrivals_per_s == pytest.approx(0.36)
    full = [one.pomdp.transitions[0].reshape(2, 2, 2, 2).sum(axis=2) for one in (steady, swinging)]
    assert (full[1][:, 1, 1] > full[0][:, 1, 1]).all()  # where it is full, the load is high


BASE = ("scenario=swinging", "speculation=phases", "scheduler.max_num_seqs=16")
BOUNDED = (*BASE, "scheduler.max_queue=8")
REFUSED = {
    "no phases": ([*BOUNDED, "speculation=chat"], "has no phases .* choose speculation=phases"),
    "no regime": ([*BOUNDED, "speculation.phases.alpha_hard=0.9"], "no regime to learn"),
    "no bound": (BASE, "max_queue=null lets requests wait"),
    "too many": ([*BOUNDED, "scheduler.max_num_seqs=1000"], "the surrogate follows 2 to"),
    "never full": ([*BOUNDED, "workload.rate=0.0005"], "never in bucket 2 of 2"),
    "never empty": ([*BOUNDED, "workload.rate=50"], "never in bucket 1 of 2"),
    "no objective": ([*BOUNDED, "slo=none"], "slo.ttft_s=null bounds no wait"),
    "closed loop": ([*BASE, "workload=fixed_batch", "slo=chat"], "is a closed loop"),
}


QUICK = ("no bound", "no objective")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(*case, id=name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name, case in REFUSED.items()
    ],
)
def test_scenarios_that_are_no_such_problem_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        surrogate(Instance("mine", "", tuple(words), (1, 3), 30.0), compose(list(words)))


def test_edges_of_buckets_must_rise_within_what_can_be_there(serving):
    for edges in ((4, 4), (99,)):
        with pytest.raises(ConfigError, match="must rise and lie in"):
            surrogate(serving.instance, serving.config, edges)
    three = surrogate(serving.instance, serving.config, (7, 15))
    assert three.pomdp.states == 6
    assert three.bucket_names == ["0-7", "8-15", "16+"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gammas": (3,)}, "must be 2 to 8 draft lengths"),
        ({"gammas": (3, 1)}, "rising"),
        ({"gammas": (0, 3)}, "the regime cannot be seen"),
        ({"interval_s": 0.0}, "must lie in 0.001"),
    ],
)
def test_instances_without_a_choice_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(Instance("a", "b", (), (1, 3), 30.0), **changes)


def test_the_shipped_instances_are_there():
    assert instance_names() == ["fixed_wins", "serving", "swinging"]


@pytest.mark.parametrize("name", some(["fixed_wins", "swinging"]))
def test_every_shipped_instance_can_be_learned(name):
    found = derive(name)
    assert process_report(found.pomdp).broken == ()
    assert found.config.slo.bounds


def test_an_instance_of_the_users_own_is_read_and_a_wrong_one_refused(tmp_path):
    with pytest.raises(TableError, match="Did you mean 'serving'"):
        read_instance("servin")
    file = tmp_path / "mine.yaml"
    file.write_text("title: mine\nchoices: []\nsettings: {}\n")
    with pytest.raises(TableError, match=r"is no control instance .*interval"):
        read_instance(str(file))
