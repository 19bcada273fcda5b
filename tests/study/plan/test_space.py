"""Which deployments a question leaves open."""

import pytest

from simulator.models.catalog import load_architecture
from simulator.study.plan.deployment import Split
from simulator.study.plan.question import Candidates
from simulator.study.plan.screening import Screening
from simulator.study.plan.space import deployments, scheduled, spreads

MOE, DENSE = "qwen3_235b_a22b", "llama_3_1_70b"


def sizes(model, *, node_gpus=8, **asked):
    candidates = Candidates(gpus=("h100_sxm",), **asked)
    return [str(one) for one in spreads(candidates, load_architecture(model), node_gpus)]


def test_experts_are_split_with_their_group_or_lie_whole():
    assert sizes(MOE, tensor_parallel=(1, 4), data_parallel=(1, 2)) == [
        "TP 1",
        "TP 1, DP 2, EP 2",
        "TP 4",
        "TP 4, EP 4",
        "TP 4, DP 2, EP 8",
    ]
    assert "TP 4, EP 4" not in sizes(MOE, expert_parallel=False)


def test_a_dense_model_has_one_attention_group_and_no_experts():
    assert sizes(DENSE) == ["TP 1", "TP 2", "TP 4", "TP 8"]


@pytest.mark.parametrize(("node_gpus", "most"), [(4, 4), (8, 8)])
def test_no_stage_leaves_its_node(node_gpus, most):
    found = sizes(MOE, node_gpus=node_gpus)
    assert f"TP {most}" in found
    assert f"TP {2 * most}" not in found


def space(**asked):
    candidates = Candidates(gpus=("h100_sxm",), tensor_parallel=(4,), data_parallel=(1,), **asked)
    return candidates, list(deployments(candidates, {MOE: load_architecture(MOE)}, (256, 512)))


def test_every_combination_is_there_once():
    _, found = space(precisions=("native", "fp8"), gammas=(0, 3), splits=(None, Split(1, 2)))
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 2 * 2  # experts split or whole, too


def test_a_schedule_takes_the_fastest_length_of_each_batch():
    asked, found = space(gammas=(0, 3), policies=("fixed", "batch_schedule"))
    times = {0: (0.010, 0.011, 0.020), 3: (0.006, 0.009, 0.030)}
    pairs = [(one, Screening(batches=(1, 8, 64), token_s=times[one.gamma])) for one in found]
    made = list(scheduled(asked, pairs))
    assert len(made) == 4
    assert {(one.gamma, one.policy, one.schedule) for one in made} == {
        (3, "batch_schedule", ((1, 63, 3), (64, 64, 0)))
    }


def test_one_length_for_all_batches_is_no_schedule():
    asked, found = space(gammas=(0, 3), policies=("fixed", "batch_schedule"))
    pairs = [(one, Screening(batches=(1, 8), token_s=(0.01 + one.gamma, 0.02))) for one in found]
    slower_everywhere = [(one, s) for one, s in pairs if one.gamma == 0]
    assert not list(scheduled(asked, slower_everywhere))
