"""Engine profiles by path, and the speed that kernels reach under a calibrated one."""

from dataclasses import replace

import pytest
from helpers.specs import figure, profile, write
from helpers.step_models import step_model
from hypothesis import given
from hypothesis import strategies as st

from simulator.compose import compose
from simulator.costs.engine import Engine, load_engine
from simulator.costs.step import StepModel, StepShape
from simulator.costs.work import Load, operator_work
from simulator.errors import TableError
from simulator.models.operators import Experts, Gemm, launches
from simulator.scenario import build, routing_of

fractions = st.floats(0.05, 1.0)


def with_engine(model: StepModel, **changes) -> StepModel:
    engine = replace(model.engine, **changes)
    return replace(
        model,
        engine=engine,
        target=replace(model.target, engine=engine),
        drafter=replace(model.drafter, engine=engine),
    )


MODEL = step_model("qwen2_57b_a14b")


def test_a_profile_given_by_its_path_is_that_profile(tmp_path):
    changes = {"bandwidth_fraction": figure(0.5, "1"), "draft_request": figure(1e-5, "s")}
    engine = load_engine(write(tmp_path / "mine.yaml", profile(**changes)))
    shipped = load_engine("vllm")
    assert (engine.bandwidth_fraction, engine.draft_request_s) == (0.5, 1e-5)
    assert engine.compute_fraction == 1.0
    assert engine.plain_step_s == shipped.plain_step_s
    assert not engine.at_table_speed
    assert shipped.at_table_speed


def test_a_profile_that_was_written_again_is_read_again(tmp_path):
    for value in (0.5, 0.25):
        path = write(tmp_path / "mine.yaml", profile(bandwidth_fraction=figure(value, "1")))
        assert load_engine(path).bandwidth_fraction == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bandwith_fraction": figure(1, "1")}, "Did you mean 'bandwidth_fraction'"),
        ({"bandwidth_fraction": figure(1, "s")}, "is in 's'; state it in '1'"),
        ({"bandwidth_fraction": figure(0, "1")}, "must be 0.0001 to 10"),
        ({"routing_within_request": figure(1.2, "1")}, "must be 0.001 to 1"),
        ({"plain_step": figure(-1e-3, "s")}, "a finite number, 0 or more"),
        ({"plain_step": figure(float("nan"), "s")}, "a finite number, 0 or more"),
        ({"plain_step": figure("fast", "s")}, "'fast', no number"),
        ({"plain_step": None, "front_end": None}, "lacks plain_step, front_end"),
        ({"plain_step": {"value": 1, "unit": "s"}}, "plain_step lacks source, kind"),
        ({"tables": "vlm"}, "Did you mean 'vllm'"),
    ],
)
def test_a_wrong_figure_is_refused_with_file_and_name(tmp_path, changes, message):
    path = write(tmp_path / "mine.yaml", profile(**changes))
    with pytest.raises(TableError, match=message) as caught:
        load_engine(path)
    assert path in str(caught.value)


def test_a_file_that_is_none_or_no_profile_is_refused(tmp_path):
    write(tmp_path / "mine.yaml", [1, 2])
    with pytest.raises(TableError, match=r"not found. Did you mean '.*mine\.yaml'"):
        load_engine(str(tmp_path / "mein.yaml"))
    with pytest.raises(TableError, match="holds no mapping"):
        load_engine(str(tmp_path / "mine.yaml"))
    (tmp_path / "broken.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(TableError, match="is not YAML"):
        load_engine(str(tmp_path / "broken.yaml"))


@given(fractions, fractions, st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_the_slowdown_is_the_mean_of_both_weighted_by_their_times(bandwidth, compute, m, c):
    engine = replace(MODEL.engine, bandwidth_fraction=bandwidth, compute_fraction=compute)
    share = m / (m + c)
    expected = share / bandwidth + (1 - share) / compute
    assert engine.slowdown(m, c) == pytest.approx(expected)
    assert 1 / max(bandwidth, compute) <= expected * (1 + 1e-12)


@given(fractions, fractions, st.integers(1, 300))
def test_every_product_and_expert_call_is_scaled_by_its_own_work(bandwidth, compute, tokens):
    slow = with_engine(MODEL, bandwidth_fraction=bandwidth, compute_fraction=compute)
    before, after = (m.target.experts(tokens, tokens)["experts"] for m in (MODEL, slow))
    (op,) = (op for op in MODEL.target.operators if isinstance(op, Experts))
    load = Load(tokens, active_experts=MODEL.target.active_experts(tokens))
    work = operator_work(op, load, MODEL.target.tables.gpu)
    factor = slow.engine.slowdown(work.memory_s, work.compute_s)
    assert after.seconds == pytest.approx(factor * before.seconds)
    assert after.kind == "fitted"


@given(st.floats(0.1, 0.95))
def test_equal_fractions_slow_all_kernels_but_launches_alike(fraction):
    slow = with_engine(MODEL, bandwidth_fraction=fraction, compute_fraction=fraction)
    shape = StepShape(16, 5, 500, prefill=((0, 100), (50, 80)))
    before, after = (m.target_step(shape).parts for m in (MODEL, slow))
    for part in ("projections", "experts", "attention", "router", "lm_head"):
        assert after[part].seconds == pytest.approx(before[part].seconds / fraction)
    assert after["engine"] == before["engine"]
    assert after["all_reduce"] == before["all_reduce"]
    assert before["elementwise"].seconds < after["elementwise"].seconds
    assert after["elementwise"].seconds < before["elementwise"].seconds / fraction


@pytest.mark.parametrize("model", ["deepseek_v3", "glm_5", "qwen3_5_397b_a17b"])
def test_every_kind_of_attention_is_scaled(model):
    plain = step_model(model, "b200_sxm", 8)
    slow = with_engine(plain, bandwidth_fraction=0.5, compute_fraction=0.5)
    shape = StepShape(4, 1, 500, prefill=((0, 100),))
    before, after = (m.target_step(shape).parts for m in (plain, slow))
    for part in {"attention", "linear_attention"} & set(before):
        assert after[part].seconds == pytest.approx(2 * before[part].seconds)


def test_at_table_speed_nothing_is_counted_or_scaled(monkeypatch):
    def fail(*_):
        raise AssertionError("work was counted")

    expected = MODEL.step(StepShape(8, 5, 500, prefill=((0, 64),)), 4)
    monkeypatch.setattr(Engine, "slowdown", fail)
    monkeypatch.setattr("simulator.costs.forward.operator_work", fail)
    monkeypatch.setattr("simulator.costs.forward.prompt_work", fail)
    again = with_engine(MODEL, bandwidth_fraction=1.0, compute_fraction=1.0)
    assert again.step(StepShape(8, 5, 500, prefill=((0, 64),)), 4) == expected


def test_launching_one_by_one_costs_every_kernel_of_a_pass():
    eager = with_engine(MODEL, operator_launch_s=1e-4)
    shape = StepShape(8, 1, 500)
    calls = sum(op.calls * launches(op) for op in MODEL.target.operators)
    more = eager.target_step(shape).total_s - MODEL.target_step(shape).total_s
    assert more == pytest.approx(calls * 1e-4)
    assert launches(Gemm("mlp", 8, 8, "bfloat16", 3)) == 1


def test_draft_requests_cost_host_time():
    slow = with_engine(MODEL, draft_request_s=1e-3)
    before, after = (m.draft_step(16, 500)["draft"].seconds for m in (MODEL, slow))
    assert after == pytest.approx(before + 16e-3)


def test_calibrated_exponents_stand_in_for_the_measured_overlap_but_not_for_a_setting():
    engine = replace(load_engine("vllm"), routing_within_request=0.4, routing_across_requests=0.9)
    unset = compose(["model=qwen3_30b_a3b"])
    assert routing_of(unset, load_engine("vllm")).within_request == 0.65
    filled = routing_of(unset, engine)
    assert (filled.within_request, filled.across_requests) == (0.4, 0.9)
    own = compose(["model=qwen3_30b_a3b", "routing.within_request=0.8"])
    assert routing_of(own, engine).within_request == 0.8
    uniform = compose(["model=qwen3_30b_a3b", "routing=uniform"])
    assert routing_of(uniform, engine) == uniform.routing


def test_a_scenario_takes_a_profile_by_path(tmp_path):
    path = write(
        tmp_path / "mine.yaml",
        profile(routing_within_request=figure(0.5, "1"), bandwidth_fraction=figure(0.5, "1")),
    )
    settings = ["model=mixtral_8x7b", "hardware=h100_sxm"]
    slow, plain = build(compose([*settings, f"hardware.engine={path}"])), build(compose(settings))
    assert slow.step_model.law.within_request == 0.5
    ratio = slow.deployment(0).costs[-1].decode_s(8, 8000) / plain.deployment(0).costs[-1].decode_s(
        8, 8000
    )
    assert 1.5 < ratio < 2.0
