"""Sampled steps whose resident experts are followed: stalls, and where closed forms agree."""

import numpy as np
import pytest
from helpers.scenarios import make_config

from simulator.config import HardwareConfig
from simulator.experts.config import PINNED, ExpertsConfig, OffloadConfig, RoutingConfig
from simulator.scenario import build
from simulator.speculation.config import SpeculationConfig
from simulator.streams import Streams
from simulator.study.assumptions import assumptions
from simulator.workload.config import WorkloadConfig

STEPS, WARM = 120, 20


def mixtral(law, **offload):
    """Mixtral-8x7B on one L40, followed step by step."""
    return build(
        make_config(
            "mixtral_8x7b",
            hardware=HardwareConfig(gpu="l40", tensor_parallel=1),
            workload=WorkloadConfig(preset="chat", max_prompt_tokens=1000, max_output_tokens=200),
            speculation=SpeculationConfig(gamma=3, alpha=0.61),
            routing=RoutingConfig(law=law),
            experts=ExpertsConfig(fidelity="sampled", offload=OffloadConfig(**offload)),
        )
    )


def times(scenario, gamma, requests, context=200):
    """Times of consecutive steps, and what closed forms say of each."""
    (steps,) = scenario.deployment(gamma).dispatch.new_steps(Streams(1), 0, lambda drawn: None)
    summed = requests * context
    sampled = [steps.decode_window(requests, summed).base_s for _ in range(STEPS)]
    expected = scenario.deployment(gamma).costs[0].decode_s(requests, summed)
    return np.array(sampled[WARM:]), expected


@pytest.fixture(scope="module")
def uniform():
    """Tokens route alone, the last used stay."""
    return mixtral("uniform", resident_experts=3)


@pytest.mark.parametrize(("gamma", "requests"), [(0, 1), (0, 4), (3, 1)])
def test_followed_residents_miss_what_closed_forms_say_where_tokens_route_alone(
    uniform, gamma, requests
):
    sampled, expected = times(uniform, gamma, requests)
    assert sampled.mean() == pytest.approx(expected, rel=0.04)
    assert sampled.std() > 0


@pytest.mark.parametrize("policy", ["lru", PINNED])
def test_followed_preferences_are_near_closed_forms(policy):
    sampled, expected = times(mixtral("overlap", resident_experts=3, policy=policy), 0, 2)
    assert sampled.mean() == pytest.approx(expected, rel=0.15)


def test_assumptions_tell_that_residents_are_followed(uniform):
    told = " ".join(assumptions(uniform, None))
    assert "what is resident is followed along the routes" in told
    assert "closed forms, each step" not in told


def test_windows_hold_for_one_step_and_prompts_bring_nearly_all_experts(uniform):
    dispatch, transfers, drawn = uniform.deployment(3).dispatch, uniform.step_model.offload, []
    (steps,) = dispatch.new_steps(Streams(1), 0, drawn.append)
    window = steps.decode_window(2, 400)
    assert window.first_tokens > window.last_tokens
    assert drawn[-1].drawn_s == window.base_s  # what the run reports as drawn has the stalls
    assert (steps.gamma, steps.query_tokens) == (3, 4)
    all_missing_s = transfers.layers * (8 - 3) * transfers.expert_s
    assert steps.mixed_s(0, 0, [(0, 500)]) > all_missing_s
    assert steps.active_experts(0, 500) == pytest.approx(8, abs=0.1)


def test_prefetched_experts_are_no_longer_missing():
    alone = {"resident_experts": 2, "policy": PINNED, "host_bandwidth": 1e12}
    slots = {"prefetch": "last_token", "prefetch_experts": 1}
    on_demand, prefetching = (
        times(mixtral("overlap", **alone, **more), 0, 1)[0].mean() for more in ({}, slots)
    )
    assert prefetching < on_demand  # a link this fast hides them all
