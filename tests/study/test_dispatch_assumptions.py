"""What a result says that it rests on, by fidelity."""

import pytest
from helpers.scenarios import make_config

from simulator.config import HardwareConfig
from simulator.experts.config import ExpertsConfig
from simulator.scenario import build
from simulator.study.dispatch_assumptions import dispatch_assumptions


def said(fidelity, *, groups=8, **experts):
    hardware = HardwareConfig(
        gpu="h100_sxm", tensor_parallel=8 // groups, data_parallel=groups, expert_parallel=8
    )
    settings = ExpertsConfig(fidelity=fidelity, **experts)
    scenario = build(make_config("qwen3_30b_a3b", hardware=hardware, experts=settings))
    return " | ".join(dispatch_assumptions(scenario))


@pytest.mark.parametrize("fidelity", ["expected", "sampled"])
def test_without_events_nothing_is_assumed_of_them(fidelity):
    assert said(fidelity) == ""


def test_of_events_it_says_where_they_run_and_what_they_leave_out():
    between = said("event", two_batch_overlap=True)
    assert "of NVSwitch node, 8 H100 SXM for its bytes" in between
    assert "two batches of equal requests" in between
    alone = said("event", groups=2)
    assert "two batches" not in alone
    assert "nothing is dispatched" in said("event", groups=1)
