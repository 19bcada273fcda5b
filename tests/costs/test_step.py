"""The step model: parts, sums, and the behaviour that physics asks for."""

from dataclasses import replace
from itertools import pairwise

import pytest
from helpers.step_models import step_model
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.costs.compiled import CompiledSteps
from simulator.costs.forward import total_s
from simulator.costs.step import StepShape
from simulator.experts.laws import Overlap

MOE_PARTS = {
    "projections", "attention", "router", "experts", "shared_experts", "lm_head",
    "all_reduce", "elementwise", "sampling", "engine",
}  # fmt: skip

MODELS = [
    ("qwen2_57b_a14b", "a100_sxm", 2),
    ("mixtral_8x7b", "h100_sxm", 2),
    ("qwen3_30b_a3b", "l40s", 2),
    ("deepseek_v3", "h200_sxm", 8),
    ("gpt_oss_20b", "rtx_pro_6000_server", 1),
    ("llama_3_1_70b", "b200_sxm", 2),
    ("qwen3_235b_a22b", "gb200", 4),
]

everywhere = pytest.mark.parametrize(("model", "gpu", "tensor_parallel"), MODELS)


def test_parts_are_named_after_operators_and_sum_to_the_total():
    cost = step_model("qwen2_57b_a14b").step(StepShape(8, 4, 500.0), gamma=3)
    assert set(cost.parts) == MOE_PARTS | {"draft", "rejection"}
    assert cost.total_s == pytest.approx(sum(timing.seconds for timing in cost.parts.values()))
    assert sum(map(cost.share_s, ("measured", "fitted", "assumed"))) == pytest.approx(cost.total_s)


def test_a_plain_step_has_no_speculative_parts():
    model = step_model("qwen2_57b_a14b")
    shape = StepShape(8, 1, 500.0)
    assert set(model.step(shape, gamma=0).parts) == MOE_PARTS
    assert model.step(shape, gamma=0).total_s == model.target_step(shape).total_s


def test_a_round_is_drafts_and_verify_and_rejection():
    """MoESD eq. 2, term by term."""
    model, gamma, shape = step_model("qwen2_57b_a14b"), 3, StepShape(16, 4, 700.0)
    expected = (
        gamma * total_s(model.draft_step(16, 700.0))
        + model.target_step(shape).total_s
        + total_s(model.rejection(16, gamma))
    )
    assert model.step(shape, gamma).total_s == pytest.approx(expected)


@everywhere
def test_every_shipped_pairing_has_finite_positive_parts(model, gpu, tensor_parallel):
    cost = step_model(model, gpu, tensor_parallel).step(StepShape(8, 4, 1000.0, ((0, 512),)), 3)
    assert all(0 < timing.seconds < 10 for timing in cost.parts.values())


@everywhere
@settings(max_examples=40)
@given(data=st.data())
def test_time_does_not_fall_with_context(model, gpu, tensor_parallel, data):
    costs = step_model(model, gpu, tensor_parallel)
    requests, query_tokens = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 6))
    near, far = sorted(data.draw(st.tuples(*[st.floats(1, 30_000)] * 2)))
    shapes = (StepShape(requests, query_tokens, context) for context in (near, far))
    first, second = (costs.target_step(shape).parts["attention"].seconds for shape in shapes)
    # Measured attention tables have dips: a longer cache may take another kernel split.
    assert second >= 0.75 * first


@settings(max_examples=40)
@given(st.integers(1, 200), st.floats(1, 400), st.floats(1, 400))
def test_experts_cost_by_distinct_experts_not_by_tokens_alone(requests, one, other):
    forward = step_model("qwen2_57b_a14b").target
    few, many = (total_s(forward.experts(requests, count)) for count in sorted((one, other)))
    assert few <= many * (1 + 1e-9)


def test_overlapping_requests_make_verification_cheaper():
    independent = step_model("qwen3_30b_a3b", "h100_sxm", 1)
    alike = step_model("qwen3_30b_a3b", "h100_sxm", 1, Overlap(within_request=0.65))
    assert alike.target_efficiency(2, 3, 500.0) > independent.target_efficiency(2, 3, 500.0) + 0.05
    shape = StepShape(2, 4, 500.0)
    assert alike.target_step(shape).active_experts < independent.target_step(shape).active_experts


def test_a_verify_step_reads_the_cache_once():
    """Long caches dominate attention: verifying 4 tokens must cost far less than 4 decodes."""
    costs = step_model("llama_3_1_8b", "h100_sxm", 1)
    plain, verify = (
        costs.target_step(StepShape(32, query, 8000.0)).parts["attention"].seconds
        for query in (1, 4)
    )
    assert plain <= verify < 1.6 * plain


def test_prefill_in_chunks_costs_about_as_much_as_whole():
    costs = step_model("llama_3_1_8b", "h100_sxm", 1)
    whole = costs.target_step(StepShape(0, 1, 0.0, ((0, 8192),))).total_s
    chunks = [((start, start + 2048),) for start in range(0, 8192, 2048)]
    parts = sum(costs.target_step(StepShape(0, 1, 0.0, chunk)).total_s for chunk in chunks)
    assert parts == pytest.approx(whole, rel=0.1)  # measured products are not linear in tokens


def test_an_ngram_drafter_costs_no_gpu_time():
    model = step_model("qwen2_57b_a14b")
    ngram = type(model)(model.target, None, model.law, model.engine, model.vocab)
    assert ngram.draft_step(8, 100.0) == {}
    assert ngram.draft_prefill(StepShape(0, 1, 0.0, ((0, 10),))) == {}
    assert set(ngram.step(StepShape(8, 4, 100.0), 3).parts) == MOE_PARTS | {"rejection"}


# Attention groups and pipelines.

GROUPS = {"tensor_parallel": 1, "data": 8, "expert": 8}
OF_A_GROUP = (
    *("projections", "attention", "router", "mlp", "shared_experts"),
    *("elementwise", "lm_head", "sampling", "engine"),
)


def test_attention_groups_divide_all_but_the_experts():
    """Eight groups at 64 requests run each operator, experts apart, at 8 requests on one GPU."""
    grouped = step_model("deepseek_v3", "h200_sxm", **GROUPS).target_step(StepShape(64, 4, 2000.0))
    single = step_model("deepseek_v3", "h200_sxm", 1).target_step(StepShape(8, 4, 2000.0))
    for part in OF_A_GROUP:
        assert grouped.parts[part] == single.parts[part]
    assert set(grouped.parts) - set(single.parts) == {"dispatch", "combine"}


def test_experts_see_the_tokens_of_all_groups():
    grouped = step_model("deepseek_v3", "h200_sxm", **GROUPS).target_step(StepShape(64, 1, 2000.0))
    together = step_model("deepseek_v3", "h200_sxm", 8, expert=8)
    alike = together.target_step(StepShape(64, 1, 2000.0))
    assert grouped.parts["experts"] == alike.parts["experts"]
    assert grouped.active_experts == alike.active_experts


def test_groups_halve_the_attention_of_a_latent_cache():
    """Latent caches are whole on every GPU of a group, so only more groups read them faster."""
    context = StepShape(128, 1, 8000.0)
    times = [
        step_model("deepseek_v3", "h200_sxm", 1, data=groups, expert=groups)
        .target_step(context)
        .parts["attention"]
        .seconds
        for groups in (1, 2, 4)
    ]
    for slower, faster in pairwise(times):
        assert 0.49 * slower < faster < 0.65 * slower  # kernels have a fixed cost too


def test_the_busiest_group_sets_the_time():
    model = step_model("deepseek_v3", "h200_sxm", **GROUPS)
    full, one_more = (model.target_step(StepShape(n, 1, 4000.0)) for n in (64, 65))
    assert one_more.parts["attention"].seconds > full.parts["attention"].seconds
    assert (
        one_more.parts["attention"]
        == model.target_step(StepShape(72, 1, 4000.0)).parts["attention"]
    )


@pytest.mark.parametrize("requests", [1, 3, 7])
def test_idle_groups_wait_for_those_that_have_work(requests):
    """Fewer requests than groups: a step takes what it takes with one in every group."""
    model = step_model("deepseek_v3", "h200_sxm", **GROUPS)
    few, one_each = (model.target_step(StepShape(n, 1, 4000.0)) for n in (requests, 8))
    for part in OF_A_GROUP:
        assert few.parts[part] == one_each.parts[part]
    assert few.parts["experts"].seconds < one_each.parts["experts"].seconds


def test_groups_meet_at_a_barrier_in_the_compiled_times_too():
    costs = CompiledSteps(step_model("deepseek_v3", "h200_sxm", **GROUPS), 0)
    full_s, one_more_s, two_more_s = (costs.decode_s(n, n * 4000) for n in (64, 65, 66))
    # The first request of a new row lengthens every group's step, the second finds a free group.
    assert one_more_s - full_s > 2 * (two_more_s - one_more_s) > 0


@pytest.mark.parametrize(("groups", "busiest"), [(1, 12), (8, 2)])
def test_every_step_pays_the_host_between_steps(groups, busiest):
    """The GPU idles while the host schedules: a time a step, and one a request of a group."""
    spread = GROUPS | {"data": groups, "expert": 8} if groups > 1 else {"tensor_parallel": 8}
    model = step_model("deepseek_v3", "h200_sxm", **spread)
    engine = model.engine
    slower = replace(
        model,
        engine=replace(
            engine,
            plain_step_s=engine.plain_step_s + 2e-3,
            plain_request_s=engine.plain_request_s + 1e-4,
        ),
    )
    shape = StepShape(12, 1, 2000.0)
    added_s = slower.step(shape, 0).total_s - model.step(shape, 0).total_s
    assert added_s == pytest.approx(2e-3 + busiest * 1e-4)


def test_a_lone_prompt_is_not_divided():
    """It runs on one group; the others have nothing to do but their share of the experts."""
    shape = StepShape(0, 1, 0.0, ((0, 4096),))
    grouped = step_model("deepseek_v3", "h200_sxm", **GROUPS).target_step(shape)
    single = step_model("deepseek_v3", "h200_sxm", 1).target_step(shape)
    assert grouped.parts["projections"] == single.parts["projections"]
    assert grouped.parts["attention"] == single.parts["attention"]
    assert grouped.parts["experts"].seconds < 0.25 * single.parts["experts"].seconds


def test_drafts_run_in_the_groups_too():
    """DeepSeek's MTP block has experts of its own, which all groups share."""
    model = step_model("deepseek_v3", "h200_sxm", **GROUPS)
    drafts = model.draft_parts(64, 2000.0)
    assert {"experts", "dispatch", "combine"} <= set(drafts)
    alone = step_model("deepseek_v3", "h200_sxm", 1).draft_parts(8, 2000.0)
    assert drafts["attention"] == alone["attention"]
    assert model.rejection(64, 3) == step_model("deepseek_v3", "h200_sxm", 1).rejection(8, 3)


def test_a_pipeline_passes_micro_batches_through_all_layers():
    stages = step_model("llama_3_1_70b", "h200_sxm", 2, pipeline=4)
    whole = step_model("llama_3_1_70b", "h200_sxm", 2)
    passing = stages.target_step(StepShape(64, 1, 2000.0, ((0, 100), (0, 300))))
    alone = whole.target_step(StepShape(16, 1, 2000.0, ((0, 300),)))
    sent = passing.parts.pop("pipeline")
    assert passing.parts == alone.parts
    message_bytes = 2.0 * (16 + 300) * 2 * 2 * 8192  # two vectors, there and back
    assert sent.seconds == 3 * whole.target.tables.all_gather(message_bytes, 2).seconds


def test_a_single_request_gains_nothing_from_a_pipeline():
    stages = step_model("llama_3_1_70b", "h200_sxm", 2, pipeline=4)
    whole = step_model("llama_3_1_70b", "h200_sxm", 2)
    shape = StepShape(1, 1, 2000.0)
    assert stages.target_step(shape).total_s > whole.target_step(shape).total_s


def test_dense_models_activate_no_experts():
    cost = step_model("llama_3_1_8b", "h100_sxm", 1).target_step(StepShape(4, 1, 100.0))
    assert cost.active_experts == 0
    assert "experts" not in cost.parts
