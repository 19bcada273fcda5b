import math

import pytest

from simulator.commands.settings import group_options
from simulator.compose import compose
from simulator.errors import ConfigError
from simulator.slo import SloConfig


@pytest.mark.parametrize("key", ["ttft_s", "tpot_s", "e2e_s"])
@pytest.mark.parametrize("bound_s", [0.0, -1.0, math.nan, math.inf])
def test_a_bound_that_makes_no_sense_is_refused(key, bound_s):
    with pytest.raises(ConfigError, match=rf"slo\.{key}=.* must be a time above 0 in seconds"):
        SloConfig(**{key: bound_s})


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, math.nan])
def test_a_share_that_makes_no_sense_is_refused(share):
    with pytest.raises(ConfigError, match=r"slo\.share=.* must lie in \(0, 1\]"):
        SloConfig(share=share)


def test_bounds_are_those_that_are_set():
    assert SloConfig().bounds == {}
    assert SloConfig(e2e_s=9.0, ttft_s=1.0).bounds == {"ttft_s": 1.0, "e2e_s": 9.0}


@pytest.mark.parametrize("option", group_options("slo"))
def test_every_shipped_objective_can_be_chosen_and_states_its_share(option):
    slo = compose([f"slo={option}"]).slo
    assert slo.share == 0.99
    assert (slo.bounds == {}) == (option == "none")


def test_scenarios_promise_what_suits_them():
    assert compose([]).slo.bounds == {"ttft_s": 2.0, "tpot_s": 0.1}
    assert compose(["scenario=code"]).slo.bounds == {"ttft_s": 0.45, "tpot_s": 0.04}
    assert compose(["slo.e2e_s=30"]).slo.bounds["e2e_s"] == 30.0


def test_a_traffic_class_may_be_promised_something_of_its_own():
    classes = "workload.traffic_classes=[{name: chat}, {name: agents, slo: {ttft_s: 0.5}}]"
    chat, agents = compose([classes]).workload.traffic_classes
    assert chat.slo is None
    assert agents.slo == SloConfig(ttft_s=0.5)


def test_a_misspelt_bound_of_a_class_is_refused_with_the_right_one():
    classes = "workload.traffic_classes=[{name: agents, slo: {tttft_s: 0.5}}]"
    with pytest.raises(ConfigError, match=r"'tttft_s' in workload\.traffic_classes.*'ttft_s'"):
        compose([classes])
