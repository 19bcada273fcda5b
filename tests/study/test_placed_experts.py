"""Scenarios that draw loads: what is refused before anything runs, and what a result says."""

import pytest

from simulator.compose import compose
from simulator.errors import SimulatorError
from simulator.scenario import build
from simulator.study.assumptions import assumptions

SPREAD = ["hardware.tensor_parallel=4", "hardware.expert_parallel=4"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experts=load_aware", "hardware.expert_parallel=1"], "set hardware.expert_parallel"),
        (["experts=load_aware", "experts.placement=none.yaml"], "No such file"),
        (["experts=load_aware", "routing.within_request=0.5"], "choose routing=sampled"),
        (["experts=load_aware", "model=llama_3_1_8b", "hardware.expert_parallel=1"], "none; set"),
        (
            ["routing=recorded", "routing.path=none.parquet"],
            "file of routes 'none.parquet' not found",
        ),
        (["routing=sampled", "model=gpt_oss_20b"], "routing.archetype=null: unknown"),
    ],
)
def test_what_cannot_run_is_refused(overrides, message):
    with pytest.raises(SimulatorError, match=message):
        build(compose([*SPREAD, *overrides]))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], ["as measured on Qwen3-30B-A3B", "all are equally popular"]),
        (
            ["experts=load_aware"],
            ["archetype of qwen3_30b_a3b: consecutive ones share 44%", "by load, with 0 replicas"],
        ),
        (
            ["experts=load_aware", "experts.rebalance_period_s=5"],
            ["placed anew every 5 s of busy time"],
        ),
    ],
)
def test_a_result_says_how_experts_were_picked_and_placed(overrides, said):
    found = " | ".join(assumptions(build(compose([*SPREAD, *overrides])), None))
    for sentence in said:
        assert sentence in found
