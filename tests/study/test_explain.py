"""Steps taken apart: the parts add up, and the work agrees with counting by hand."""

from functools import cache

import pytest
from helpers.scenarios import make_config

from simulator.compose import compose
from simulator.costs.forward import total_s
from simulator.costs.step import StepShape
from simulator.costs.work import Load, Work, operator_work
from simulator.errors import CapacityError, ConfigError
from simulator.hardware.gpu import load_gpu
from simulator.models.catalog import load_architecture
from simulator.models.flops import flops_per_token
from simulator.models.forward import forward_operators
from simulator.models.operators import AllReduce, Elementwise, Experts, Gemm, GroupedQueryAttention
from simulator.models.parameters import weight_bytes
from simulator.scenario import build
from simulator.speculation.acceptance import ACCEPTANCE, PositionAcceptance
from simulator.speculation.config import SpeculationConfig
from simulator.study.explain import explain

POINTS = {
    "qwen3_30b_a3b": ("hardware=h100_sxm",),
    "mixtral_8x7b": ("hardware=h100_sxm",),
    "llama_3_1_8b": ("hardware=l40s",),
    "qwen2_57b_a14b": ("hardware=a100_sxm",),
    "deepseek_v3": ("hardware=h200_sxm",),
    "gpt_oss_20b": ("hardware=b200_sxm",),
}
"""Routed and dense, grouped-query, latent and windowed, heads, MTP and a separate draft model."""

A100 = load_gpu("a100_sxm")


@cache
def scenario_of(*overrides):
    return build(compose(list(overrides)))


@pytest.fixture(params=POINTS, ids=str)
def scenario(request):
    return scenario_of(f"model={request.param}", *POINTS[request.param])


@pytest.mark.parametrize("batch", [1, 16])
def test_parts_add_up_to_the_steps_of_the_cost_model(scenario, batch):
    taken_apart, model = explain(scenario, batch, 1000), scenario.step_model
    plain, verify = (model.target_step(StepShape(batch, m, 1000)) for m in (1, 4))
    draft_s = total_s(model.draft_step(batch, 1000))
    assert taken_apart.plain.total_s == pytest.approx(plain.total_s, rel=1e-12)
    assert taken_apart.verify.total_s == pytest.approx(verify.total_s, rel=1e-12)
    assert taken_apart.draft.total_s == pytest.approx(draft_s, rel=1e-12)
    whole = model.step(StepShape(batch, 4, 1000), gamma=3)
    round_s = verify.total_s + 3 * taken_apart.draft.total_s + taken_apart.rejection_s
    assert round_s == pytest.approx(whole.total_s, rel=1e-12)


def test_shares_and_ways_of_knowing_add_up(scenario):
    for step in explain(scenario, 16, 1000).steps.values():
        assert sum(map(step.share, step.parts)) == pytest.approx(1)
        known = sum(step.known_s(kind) for kind in ("measured", "fitted", "assumed"))
        assert known == pytest.approx(step.total_s)
        assert step.share("no such part") == 0


def test_draft_parts_know_what_the_draft_step_knows(scenario):
    (lumped,) = scenario.step_model.draft_step(16, 1000).values()
    split = scenario.step_model.draft_parts(16, 1000)
    for index, known_s in enumerate(lumped):
        assert sum(time[index] for time in split.values()) == pytest.approx(known_s)


def test_active_experts_are_those_of_the_step(scenario):
    taken_apart = explain(scenario, 16, 1000)
    for step, tokens in ((taken_apart.plain, 1), (taken_apart.verify, 4)):
        priced = scenario.step_model.target_step(StepShape(16, tokens, 1000))
        assert step.active_experts == priced.active_experts
        moe = scenario.config.model.moe
        if moe is not None:
            assert step.experts == moe.experts
            pairs = step.tokens_per_expert * step.active_experts
            assert pairs == pytest.approx(16 * tokens * moe.top_k)


def test_a_dense_model_has_no_experts():
    taken_apart = explain(scenario_of("model=llama_3_1_8b", "hardware=l40s"), 16, 1000)
    for step in taken_apart.steps.values():
        assert not {"experts", "router", "shared_experts"} & {*step.parts, *step.work}
        assert (step.experts, step.active_experts, step.tokens_per_expert) == (0, 0, 0)


def test_only_what_computes_has_an_intensity(scenario):
    for step in explain(scenario, 16, 1000).steps.values():
        assert set(step.work) == set(step.parts) - {
            "all_reduce",
            "elementwise",
            "sampling",
            "engine",
        }


@pytest.mark.parametrize("model", ["llama_3_1_8b", "mixtral_8x7b", "deepseek_v3", "gpt_oss_20b"])
def test_work_of_a_token_is_that_of_the_model(model):
    arch = load_architecture(model)
    gpu = load_gpu("b200_sxm")
    counted = [operator_work(op, Load(1, 1, 500, 1.0), gpu) for op in forward_operators(arch)]
    flops = sum(work.flops for work in counted if work is not None)
    assert flops == pytest.approx(flops_per_token(arch, 500))


@pytest.mark.parametrize("model", ["llama_3_1_8b", "mixtral_8x7b", "deepseek_v3"])
def test_a_step_that_wakes_all_experts_reads_all_weights_but_the_embedding(model):
    arch = load_architecture(model)
    everything = arch.moe.experts if arch.moe else 0
    counted = [
        operator_work(op, Load(1, 1, 1, everything), load_gpu("b200_sxm"))
        for op in forward_operators(arch)
    ]
    moved = sum(work.moved_bytes for work in counted if work is not None)
    embedding = 2 * arch.vocab * arch.embedding_dim
    assert moved == pytest.approx(weight_bytes(arch) - embedding, rel=0.01)


def test_a_product_by_hand():
    work = operator_work(Gemm("mlp", 4096, 1024, "bfloat16", 2), Load(32), A100)
    assert work.flops == 2 * 2 * 32 * 4096 * 1024
    assert work.moved_bytes == 2 * 2 * (4096 * 1024 + 32 * 1024 + 32 * 4096)
    assert work.compute_s == work.flops / 312e12
    assert work.memory_s == pytest.approx(work.moved_bytes / A100.memory_bandwidth)


def test_weights_of_fewer_bits_move_fewer_bytes_and_compute_on_their_own_peak():
    h100 = load_gpu("h100_sxm")
    work = operator_work(Gemm("mlp", 4096, 4096, "fp8", 1), Load(1), h100)
    assert work.moved_bytes == 4096 * 4096 + 2 * 2 * 4096
    assert work.ridge == pytest.approx(h100.ridge_flop_per_byte("fp8"))


def test_experts_by_hand():
    experts = Experts(8, 2, 4096, 14336, 2, "bfloat16", 32)
    work = operator_work(experts, Load(16, active_experts=7.5), A100)
    matrix = 4096 * 14336 / 2
    assert work.flops == 32 * 16 * 2 * 2 * 3 * matrix
    pair = 3 * 4096 + 2 * 3 * 14336 / 2
    assert work.moved_bytes == 32 * (7.5 * 3 * matrix * 2 + 16 * 2 * pair * 2)
    ungated = Experts(8, 2, 4096, 14336, 2, "bfloat16", 32, gated=False)
    fewer = operator_work(ungated, Load(16, active_experts=7.5), A100)
    assert fewer.flops == pytest.approx(work.flops * 2 / 3)


def test_attention_reads_the_cache_once_however_many_tokens_verify():
    heads = GroupedQueryAttention(heads=32, kv_heads=8, head_dim=128, window=0, calls=1)
    plain, verify = (operator_work(heads, Load(4 * m, 4, 1000), A100) for m in (1, 4))
    assert plain.flops == 4 * 4 * 32 * 128 * 1000
    assert plain.moved_bytes == 2 * 2 * 4 * 1000 * 8 * 128 + 2 * 2 * 4 * 32 * 128
    assert verify.flops == 4 * plain.flops
    assert verify.moved_bytes - plain.moved_bytes == 3 * 2 * 2 * 4 * 32 * 128


def test_a_window_bounds_what_attention_reads():
    windowed, full = (
        GroupedQueryAttention(heads=8, kv_heads=8, head_dim=64, window=w, calls=1) for w in (128, 0)
    )
    far, near = Load(4, 4, 5000), Load(4, 4, 128)
    assert operator_work(windowed, far, A100) == operator_work(full, near, A100)


def test_latent_attention_by_hand():
    taken_apart = explain(scenario_of("model=deepseek_v3", *POINTS["deepseek_v3"]), 16, 1000)
    layers, heads, latent, rope, nope, value = 61, 128 // 8, 512, 64, 128, 128
    absorbed = latent * (nope + value)
    flops = 2 * heads * (absorbed + 1000 * (2 * latent + rope)) * 16 * layers
    elements = 16 * 1000 * (latent + rope)
    elements += heads * (absorbed + 16 * (nope + rope + value + 4 * latent))
    work = taken_apart.plain.work["attention"]
    assert work.flops == flops
    assert work.moved_bytes == 2 * elements * layers


@pytest.mark.parametrize("operator", [AllReduce(4096, 2, 32), Elementwise(8192.0, 1, 32)], ids=repr)
def test_collectives_and_elementwise_kernels_do_not_compute(operator):
    assert operator_work(operator, Load(4, 4, 10), A100) is None


@pytest.mark.parametrize(
    ("flops", "moved_bytes", "bound"), [(1e12, 1e9, "compute"), (1e9, 1e9, "memory")]
)
def test_the_ridge_point_parts_compute_from_memory(flops, moved_bytes, bound):
    work = Work(flops, moved_bytes, flops / 300e12, moved_bytes / 2e12)
    assert work.ridge == pytest.approx(150)
    assert work.bound == bound == ("compute" if work.intensity > work.ridge else "memory")


def test_without_speculation_there_is_only_the_plain_step():
    taken_apart = explain(scenario_of("speculation.gamma=0"), 16, 1000)
    assert list(taken_apart.steps) == ["plain"]
    assert taken_apart.rejection_s == 0
    assert taken_apart.decomposition.speedup == 1
    assert [lever.change for lever in taken_apart.levers] == [
        f"speculation.gamma={taken_apart.best.gamma}"
    ]
    assert "off" in taken_apart.scenario["speculation"]


def test_a_drafter_without_gpu_time_has_no_draft_step():
    taken_apart = explain(scenario_of("speculation.drafter=ngram"), 16, 1000)
    assert list(taken_apart.steps) == ["plain", "verify"]
    assert 0 < taken_apart.decomposition.draft_ratio < 0.02, "look-ups take host time alone"


@pytest.mark.parametrize("speculation", ["chat", "by_position"])
def test_a_change_gives_the_speedup_that_it_promises(speculation):
    base = ["model=mixtral_8x7b", f"speculation={speculation}"]
    for lever in explain(scenario_of(*base), 16, 1000).levers:
        if lever.change.startswith("--batch"):
            point = explain(scenario_of(*base), int(lever.change.split()[1]), 1000)
        elif lever.change:
            point = explain(scenario_of(*base, lever.change), 16, 1000)
        else:
            continue
        assert point.decomposition.speedup == pytest.approx(lever.speedup, rel=1e-9)


def test_free_drafts_bound_the_speedup():
    taken_apart = explain(scenario_of(), 16, 1000)
    (bound,) = (lever for lever in taken_apart.levers if not lever.change)
    terms = taken_apart.decomposition
    without = terms.verify_ratio + terms.rejection_ratio
    assert bound.speedup == pytest.approx(terms.expected_tokens_per_round / without)
    assert bound.speedup > terms.speedup


def test_the_best_draft_length_is_no_change():
    best = explain(scenario_of(), 16, 1000).best.gamma
    taken_apart = explain(scenario_of(f"speculation.gamma={best}"), 16, 1000)
    assert not any("gamma" in lever.change for lever in taken_apart.levers)


def test_an_acceptance_model_without_rates_has_none_to_improve():
    ACCEPTANCE.register("coin")(lambda _: PositionAcceptance([0.5]))
    try:
        config = make_config(speculation=SpeculationConfig(acceptance="coin", alpha=None))
        taken_apart = explain(build(config), 16, 1000)
    finally:
        del ACCEPTANCE._factories["coin"]
    assert not any("alpha" in lever.change for lever in taken_apart.levers)


def test_batches_that_cannot_run_are_not_proposed():
    smallest, largest = (explain(scenario_of(), batch, 500).levers for batch in (1, 256))
    assert not any("smaller" in lever.meaning for lever in smallest)
    assert not any("larger" in lever.meaning for lever in largest)


@pytest.mark.parametrize(
    ("batch", "context", "message"),
    [
        (0, 1000, r"batch 0 must be at least 1"),
        (16, 0, r"context 0 must be at least 1"),
        (257, 10, r"batch 257 exceeds scheduler\.max_num_seqs=256"),
        (1, 10**6, r"context 1000000 exceeds the 40960 tokens of Qwen3-30B-A3B"),
    ],
)
def test_points_out_of_range_are_refused(batch, context, message):
    with pytest.raises(ConfigError, match=message):
        explain(scenario_of(), batch, context)


def test_a_batch_that_the_cache_cannot_hold_is_refused_with_one_that_fits():
    scenario = scenario_of()
    capacity = scenario.deployment(3).kv_capacity_tokens
    with pytest.raises(CapacityError, match=f"context {capacity // 200} at most"):
        explain(scenario, 200, 20_000)
    assert explain(scenario, 200, capacity // 200).plain.total_s > 0
