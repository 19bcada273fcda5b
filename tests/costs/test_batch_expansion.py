"""Batch expansion: every query token of a verify step is a sequence of its own."""

from dataclasses import replace

import pytest
from helpers.scenarios import make_config
from helpers.step_models import step_model

from simulator.config import HardwareConfig
from simulator.costs.compiled import CompiledSteps
from simulator.costs.engine import Engine, load_engine
from simulator.costs.forward import total_s
from simulator.costs.step import StepModel, StepShape
from simulator.scenario import build
from simulator.speculation.config import SpeculationConfig
from simulator.study.assumptions import assumptions

BATCH, GAMMA, CONTEXT = 16, 4, 300


def with_engine(model: str, **changes) -> StepModel:
    built = step_model(model)
    return replace(built, engine=replace(built.engine, **changes))


def expanded(model: str) -> StepModel:
    return with_engine(model, batch_expansion=1.0)


def test_the_shipped_profile_is_vllm_with_expansion_and_says_that_it_is_assumed():
    plain, expanding = load_engine("vllm"), load_engine("vllm_v0")
    assert expanding.provenance["batch_expansion"].kind == "assumed"
    same = {"name": plain.name, "title": plain.title, "provenance": plain.provenance}
    assert replace(expanding, **same, batch_expansion=0.0) == plain


def test_attention_costs_as_that_many_sequences_of_one_token():
    model = expanded("opt_30b")
    found = model.target_attention(BATCH, GAMMA + 1, CONTEXT)
    assert found == model.target.decode_attention(BATCH * (GAMMA + 1), 1, CONTEXT)
    once = step_model("opt_30b").target_attention(BATCH, GAMMA + 1, CONTEXT)
    assert total_s(found) > 3 * total_s(once)  # multi-head: the cache is most of its time


def test_host_work_and_sampling_are_those_of_the_sequences():
    model = expanded("qwen2_57b_a14b")
    verify = model.target_step(StepShape(BATCH, GAMMA + 1, CONTEXT)).parts
    assert verify["engine"] == model.host(BATCH * (GAMMA + 1))["engine"]
    assert verify["sampling"] == model.host(BATCH * (GAMMA + 1))["sampling"]


@pytest.mark.parametrize("model", ["qwen2_57b_a14b", "opt_30b"])
def test_a_plain_step_does_not_change(model):
    shape = StepShape(BATCH, 1, CONTEXT)
    assert expanded(model).target_step(shape) == step_model(model).target_step(shape)


@pytest.mark.parametrize("model", ["qwen2_57b_a14b", "opt_30b"])
def test_what_expands_nothing_leaves_products_and_experts_alone(model):
    shape = StepShape(BATCH, GAMMA + 1, CONTEXT)
    ours, theirs = (m.target_step(shape).parts for m in (expanded(model), step_model(model)))
    changed = {part for part in ours if ours[part] != theirs[part]}
    assert changed == {"attention", "sampling", "engine"}


@pytest.mark.parametrize("gamma", [0, 1, 4])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_compiled_steps_agree(batch, gamma):
    model = with_engine("qwen2_57b_a14b", batch_expansion=1.0, draft_request_s=3e-4)
    compiled = CompiledSteps(model, gamma)
    whole = model.step(StepShape(batch, gamma + 1, CONTEXT), gamma).total_s
    assert compiled.decode_s(batch, batch * CONTEXT) == pytest.approx(whole, rel=5e-3)
    mixed = StepShape(batch, gamma + 1, CONTEXT, prefill=((0, 150), (0, 90)))
    assert compiled.mixed_s(batch, batch * CONTEXT, [(0, 150), (0, 90)]) == pytest.approx(
        model.step(mixed, gamma).total_s, rel=2e-2
    )


def test_draft_host_time_grows_with_the_requests():
    before, after = with_engine("opt_30b"), with_engine("opt_30b", draft_request_s=1e-4)
    more = total_s(after.draft_step(BATCH, CONTEXT)) - total_s(before.draft_step(BATCH, CONTEXT))
    assert more == pytest.approx(BATCH * 1e-4)


def test_engines_expand_nothing_unless_they_say_so():
    assert Engine.__dataclass_fields__["batch_expansion"].default == 0.0
    assert load_engine("vllm").batch_expansion == 0.0


@pytest.mark.parametrize(
    ("engine", "gamma", "said"), [("vllm_v0", 4, 1), ("vllm_v0", 0, 0), ("vllm", 4, 0)]
)
def test_a_result_says_that_drafts_are_expanded(engine, gamma, said):
    config = make_config(
        "llama_3_1_8b",
        hardware=HardwareConfig(engine=engine),
        speculation=SpeculationConfig(gamma=gamma, alpha=0.7),
    )
    lines = assumptions(build(config), None)
    assert sum("sequence of its own" in line for line in lines) == said
