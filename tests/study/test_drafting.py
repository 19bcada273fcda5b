"""Trees, look-ups and drafters with GPUs of their own, from settings to results."""

import numpy as np
import pytest
from helpers.scenarios import make_config
from helpers.serving_bench import Bench

from simulator.config import HardwareConfig, RunConfig
from simulator.drafting import own_gpus
from simulator.errors import CapacityError, ConfigError
from simulator.models.catalog import load_architecture, load_drafter
from simulator.models.drafters import Drafter
from simulator.models.parallelism import Parallelism
from simulator.scenario import build
from simulator.speculation.config import RegimeConfig, SpeculationConfig
from simulator.study.assumptions import assumptions
from simulator.study.explain import explain
from simulator.study.paired import simulate
from simulator.study.result import conclude
from simulator.workload.config import WorkloadConfig

OWN = {"drafter_gpus": "own", "link_s": 2e-5}
TREE = {"tree": [4, 2, 1], "tree_ranks": [0.27, 0.17, 0.11, 0.07]}


def scenario(model="qwen2_57b_a14b", *, large=None, hardware=None, requests=12, **speculation):
    """Build a closed loop on the pair of MoESD, or another model with an EAGLE-3 head."""
    config = make_config(
        model,
        hardware=hardware or HardwareConfig(gpu="h100_sxm", tensor_parallel=2),
        workload=WorkloadConfig(
            kind="closed_loop", concurrency=6, prompt_tokens=100, output_tokens=60
        ),
        speculation=SpeculationConfig(**({"alpha": 0.7} | speculation)),
        run=RunConfig(requests=requests, replications=1, workers=1),
    )
    return build(config, drafter=large)


def told(built):
    return "\n".join(assumptions(built, None))


def test_a_drafter_with_gpus_of_its_own_takes_no_memory_of_the_target():
    shared, own = scenario(), scenario(**OWN)
    kv_tokens = [built.deployment(3).kv_capacity_tokens for built in (shared, own)]
    assert kv_tokens[0] < kv_tokens[1] == own.deployment(0).kv_capacity_tokens


def test_its_gpus_count():
    built = scenario(**OWN)
    assert (shared_gpus := scenario().drafter_gpus) == 0
    assert built.drafter_gpus == 1 + shared_gpus
    assert scenario(gamma=0, **OWN).drafter_gpus == 0
    assert [built.deployment(gamma).gpus for gamma in (0, 3)] == [2, 3]
    assert "the drafter has GPUs of its own, 1 a replica" in told(built)
    assert "two messages of 2e-05 s" in told(built)
    settings = SpeculationConfig(alpha=0.7, **OWN)
    assert own_gpus(settings, load_drafter("qwen2_0_5b"), Parallelism(tensor=2, data=4)) == 4


def test_the_result_names_all_gpus(tmp_path):
    built = scenario(**OWN)
    files = {name: tmp_path / f"{name}.parquet" for name in ("requests", "iterations")}
    simulate(built, files["requests"], files["iterations"], lambda _: None)
    summary = conclude(built, files | {"summary": tmp_path / "summary.json"})
    assert summary["scenario"]["hardware"].startswith("3 x NVIDIA H100")


def test_a_draft_model_may_be_too_large_for_its_own_gpu():
    large = Drafter(
        name="large",
        title="Qwen3-32B",
        source="test",
        kind="model",
        architecture=load_architecture("qwen3_32b"),
    )
    with pytest.raises(CapacityError, match=r"drafter Qwen3-32B on GPUs of its own needs 65"):
        scenario(
            "qwen3_30b_a3b",
            large=large,
            hardware=HardwareConfig(gpu="l40s", tensor_parallel=4),
            **OWN,
        )


def test_a_draft_model_that_holds_less_text_caps_the_cache_of_both():
    large = Drafter(
        name="large",
        title="Qwen3-32B",
        source="test",
        kind="model",
        architecture=load_architecture("qwen3_32b"),
    )
    hardware = HardwareConfig(gpu="h100_sxm", tensor_parallel=4)
    built = scenario("qwen3_30b_a3b", large=large, hardware=hardware, **OWN)
    assert built.deployment(3).kv_capacity_tokens < built.deployment(0).kv_capacity_tokens


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drafter": "eagle3", **OWN}, "only a separate draft model can have GPUs of its own"),
        ({"proposal_rate": 0.5}, "it belongs to look-ups that may find nothing"),
        ({"drafter": "ngram", **TREE}, "a look-up finds a chain of tokens, not a tree"),
    ],
)
def test_drafts_that_a_drafter_cannot_make_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        scenario(**settings)


def test_all_nodes_of_a_tree_take_slots_budget_and_a_place_in_the_trace():
    built = scenario(**TREE)
    deployment = built.deployment(3)
    assert (deployment.max_gamma, deployment.lookahead_tokens) == (3, 20)
    steps = Bench().run_scenario(built, 3).iterations
    decoding = steps.column("decode_requests") > 0
    assert set(steps.column("query_tokens")[decoding]) == {21}
    taken = steps.column("kv_usage") * (deployment.kv_capacity_tokens // deployment.block_tokens)
    slots = steps.column("context_tokens") + 20 * steps.column("decode_requests")
    assert (slots <= np.round(taken) * deployment.block_tokens).all()
    assert "all 20 nodes of a draft tree are verified" in told(built)


def test_a_tree_needs_a_token_budget_for_all_its_nodes():
    with pytest.raises(ConfigError, match=r"256 requests verify 85 tokens each, 21760 in all"):
        scenario(tree=[4, 4, 4], tree_ranks=[0.3])


def test_a_tree_of_widths_one_is_a_chain_to_the_bit():
    """The same trace, with a policy or without, for the same draws."""
    for settings in ({}, {"policy": "cost_model"}):
        chain, tree = (
            Bench().run_scenario(scenario(**settings, tree=widths), 3) for widths in ([], [1, 1, 1])
        )
        assert tree.requests.rows == chain.requests.rows
        assert tree.iterations.rows == chain.iterations.rows


def test_a_policy_cuts_a_tree():
    schedule = [[1, 2, 1], [3, 4, 2], [5, 99, 3]]
    built = scenario(policy="batch_schedule", schedule=schedule, requests=20, **TREE)
    steps = Bench().run_scenario(built, 3).iterations
    by_batch = dict(zip(steps.column("decode_requests"), steps.column("query_tokens"), strict=True))
    assert (by_batch[1], by_batch[4], by_batch[6]) == (5, 13, 21)


def test_look_ups_that_find_nothing_emit_one_token():
    rate = 0.3
    built = scenario(drafter="ngram", proposal_rate=rate, alpha=1.0, requests=60)
    requests = Bench().run_scenario(built, 3).requests
    length = 1 + requests.column("accepted_draft_tokens").sum() / requests.column("rounds").sum()
    assert length == pytest.approx(1 + 3 * rate, rel=0.05)
    assert "look-ups find a draft in 30% of a request's rounds" in told(built)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"acceptance": "heterogeneous", "alpha_spread": 0.28},
            "rate 0.7 on the median request, spread over requests by 0.28 on the logit",
        ),
        (
            {
                "acceptance": "regime",
                "regime": RegimeConfig(
                    alpha_high=0.836, alpha_low=0.524, high_tokens=40, low_tokens=97
                ),
            },
            "the mean of 10 rounds varies 2.0 times as much",
        ),
    ],
)
def test_what_acceptance_assumes_is_said(settings, words):
    assert words in told(scenario(**settings))


def test_recorded_rounds_are_named(tmp_path):
    file = tmp_path / "rounds.csv"
    file.write_text("request,round,accepted\n1,1,3\n1,2,0\n")
    built = scenario(acceptance="recorded", path=str(file))
    assert f"as in the rounds of {file}" in told(built)
    rows = Bench().run_scenario(built, 3).requests
    lengths = rows.column("accepted_draft_tokens") / rows.column("rounds")
    assert set(lengths) == {36 / 23}  # rounds of 4, 1, 4, ... tokens, to 59


def test_a_tree_explained_is_cut_but_not_made_deeper():
    taken_apart = explain(scenario(**TREE), 4, 500)
    assert taken_apart.scenario["speculation"] == "Qwen2-0.5B, gamma 3, tree of 20 tokens"
    assert 1 <= taken_apart.best.gamma <= 3
    chain = explain(scenario(), 4, 500)
    assert taken_apart.verify.total_s > chain.verify.total_s
    here, there = taken_apart.decomposition, chain.decomposition
    assert here.expected_tokens_per_round > there.expected_tokens_per_round
    assert here.draft_ratio > there.draft_ratio
