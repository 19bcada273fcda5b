"""What trees, look-ups and a drafter on GPUs of its own cost, by operator and compiled."""

from dataclasses import replace

import pytest
from helpers.step_models import step_model
from hypothesis import given
from hypothesis import strategies as st

from simulator.costs.compiled import CompiledSteps
from simulator.costs.drafting import Drafting
from simulator.costs.forward import total_s
from simulator.costs.step import StepShape
from simulator.models.draft_tree import DraftTree

MODELS = {
    "draft model": {"model": "qwen2_57b_a14b"},
    "dense head": {"model": "qwen3_30b_a3b", "gpu": "h100_sxm"},
    "head with experts, groups": {
        "model": "deepseek_v3",
        "gpu": "b200_sxm",
        "tensor_parallel": 2,
        "data": 4,
        "expert": 8,
    },
}
LOOKUPS = Drafting(lookup_request_s=5e-6, lookup_token_s=3e-9)

models = st.sampled_from(sorted(MODELS))
trees = st.lists(st.integers(1, 4), min_size=1, max_size=3)
batches = st.integers(1, 200)


def model_of(name, **drafting):
    return replace(step_model(**MODELS[name]), drafting=Drafting(**drafting))


@given(models, st.integers(1, 6), batches, st.integers(1, 8000))
def test_a_tree_of_widths_one_costs_what_a_chain_costs_to_the_bit(name, gamma, requests, context):
    chain, tree = model_of(name), model_of(name, tree=DraftTree([1] * gamma))
    shape = tree.verify_shape(requests, gamma, context)
    assert shape == StepShape(requests, gamma + 1, context)
    assert tree.step(shape, gamma) == chain.step(shape, gamma)
    chain, tree = CompiledSteps(chain, gamma), CompiledSteps(tree, gamma)
    summed = requests * context
    assert tree.query_tokens == chain.query_tokens
    assert tree.decode_s(requests, summed) == chain.decode_s(requests, summed)
    assert tree.mixed_s(requests, summed, [(0, 70)]) == chain.mixed_s(requests, summed, [(0, 70)])


@given(models, trees, batches, st.integers(0, 12))
def test_compiled_trees_are_exact_at_the_ends_of_segments(name, widths, requests, octave):
    model, gamma = model_of(name, tree=DraftTree(widths)), len(widths)
    context = 1 << (octave + requests.bit_length())
    exact = model.step(model.verify_shape(requests, gamma, context / requests), gamma).total_s
    assert CompiledSteps(model, gamma).decode_s(requests, context) == pytest.approx(exact)


@pytest.mark.parametrize("name", MODELS)
def test_a_tree_is_drafted_level_by_level_and_verified_whole(name):
    model = model_of(name, tree=DraftTree((4, 2, 1)))
    assert model.verify_shape(8, 3, 1000).query_tokens == 21
    passes = [model.draft_step(8, 1000, tokens) for tokens in (1, 4, 8)]
    assert total_s(model.drafts(8, 1000, 3)) == pytest.approx(sum(map(total_s, passes)))
    assert total_s(passes[0]) < total_s(passes[1]) < total_s(passes[2])
    chain = model_of(name)
    assert total_s(chain.drafts(8, 1000, 3)) == pytest.approx(3 * total_s(passes[0]))
    assert total_s(model.rejection(8, 3)) > total_s(chain.rejection(8, 3))
    assert model.target_efficiency(8, 3, 1000) < chain.target_efficiency(8, 3, 1000)


@given(models, st.integers(1, 4), batches, st.integers(1, 4000))
def test_look_ups_that_find_less_cost_less(name, gamma, requests, context):
    rates = (1.0, 0.7, 0.25)
    by_rate = [model_of(name, proposal_rate=rate) for rate in rates]
    assert [model.drafting.mean_query_tokens(gamma) for model in by_rate] == pytest.approx(
        [1 + rate * gamma for rate in rates]
    )
    verify = [model.target_step(model.verify_shape(requests, gamma, context)) for model in by_rate]
    assert verify[0].total_s >= verify[1].total_s >= verify[2].total_s
    assert verify[0] == model_of(name).target_step(StepShape(requests, gamma + 1, context))


@given(models, st.integers(1, 4), st.integers(1, 50), st.integers(0, 12))
def test_a_mean_of_query_tokens_is_priced_to_the_next_token(name, gamma, quads, octave):
    """Compiled steps count whole tokens of a batch; of four requests the mean here is whole."""
    model, requests = model_of(name, proposal_rate=0.25), 16 * quads
    context = 1 << (octave + requests.bit_length())
    exact = model.step(model.verify_shape(requests, gamma, context / requests), gamma).total_s
    assert CompiledSteps(model, gamma).decode_s(requests, context) == pytest.approx(exact)


@given(batches, st.integers(0, 13), st.integers(1, 5))
def test_look_ups_take_host_time_by_request_and_by_token(requests, octave, gamma):
    context = 1 << (octave + requests.bit_length())
    free, priced = (
        CompiledSteps(replace(model_of("dense head"), drafter=None, drafting=drafting), gamma)
        for drafting in (Drafting(), LOOKUPS)
    )
    added_s = priced.decode_s(requests, context) - free.decode_s(requests, context)
    assert added_s == pytest.approx(requests * 5e-6 + context * 3e-9, rel=1e-6)


def test_plain_steps_look_nothing_up():
    plain = replace(model_of("dense head"), drafting=replace(LOOKUPS, link_s=1e-3))
    bare = model_of("dense head")
    assert CompiledSteps(plain, 0).decode_s(8, 800) == CompiledSteps(bare, 0).decode_s(8, 800)


def test_a_drafter_with_gpus_of_its_own_waits_for_two_messages_and_reads_prompts_aside():
    shared = model_of("draft model")
    apart = model_of("draft model", own_gpus=True, link_s=1e-3)
    steps = [CompiledSteps(model, 3) for model in (shared, apart)]
    decode_s = [costs.decode_s(8, 8192) for costs in steps]
    assert decode_s[1] - decode_s[0] == pytest.approx(2e-3)
    prompt = StepShape(0, prefill=((0, 2048),))
    mixed_s = [costs.mixed_s(8, 8192, [(0, 2048)]) for costs in steps]
    read_s = total_s(shared.draft_prefill(prompt))
    assert mixed_s[0] - (mixed_s[1] - 2e-3) == pytest.approx(read_s, rel=1e-3)
    assert apart.draft_prefill(prompt) == {}
    mixed = replace(apart.verify_shape(8, 3, 1024), prefill=((0, 2048),))
    assert steps[1].mixed_s(8, 8192, [(0, 2048)]) == pytest.approx(
        apart.step(mixed, 3).total_s, rel=0.01
    )
