"""From settings to workloads, and the settings shipped in ``conf/workload``."""

from importlib.resources import files

import numpy as np
import pytest
import yaml

from simulator.errors import ConfigError, DataError, TableError
from simulator.mapping import from_mapping
from simulator.streams import Streams
from simulator.workload.build import WORKLOADS, build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.mix_config import MixPartConfig
from simulator.workload.presets import read_preset
from simulator.workload.sharing import has_sessions, shares_prefixes
from simulator.workload.traits_config import TrafficClassConfig

SHIPPED = tuple(
    path.name.removesuffix(".yaml")
    for path in files("simulator.conf.workload").iterdir()
    if path.name.endswith(".yaml")
)


def shipped(name):
    text = files("simulator.conf.workload").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text), text


@pytest.mark.parametrize("name", sorted({*SHIPPED} - {"servegen", "trace"}))
def test_shipped_settings_build(name):
    config = from_mapping(WorkloadConfig, shipped(name)[0], "workload")
    workload = build_workload(config, 10)
    assert sum(block.size for block in workload.blocks(Streams(0))) == 10
    assert workload.requests == 10
    assert workload.assumptions


@pytest.mark.parametrize("name", ["servegen", "trace"])
def test_shipped_settings_of_recordings_ask_for_a_file(name):
    settings, _ = shipped(name)
    with pytest.raises(ConfigError, match=r"workload\.path is not set"):
        WorkloadConfig(**settings)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_key_is_explained(name):
    settings, text = shipped(name)
    for key in settings:
        (line,) = [line for line in text.splitlines() if line.startswith(f"{key}:")]
        assert "#" in line or isinstance(settings[key], dict)  # then its own lines have some


def test_kinds_are_registered():
    assert {"preset", "closed_loop", "trace"} <= set(WORKLOADS)


def test_a_preset_runs_at_its_measured_rate_unless_told():
    assert build_workload(WorkloadConfig(preset="code"), 1).mean_rate == 2.57
    workload = build_workload(WorkloadConfig(preset="code", rate=6.0), 1)
    assert workload.mean_rate == 6.0
    assert "6 requests/s" in workload.title
    assert any("scaled from the 2.57 requests/s" in line for line in workload.assumptions)


def test_no_preset_means_chat():
    assert build_workload(WorkloadConfig(), 1).title.startswith("chat")


def test_arrivals_can_be_chosen():
    plain = build_workload(WorkloadConfig(preset="code", arrivals="poisson"), 1)
    assert any("Poisson at a constant" in line for line in plain.assumptions)
    bursty = build_workload(WorkloadConfig(preset="code"), 1)
    assert any("Gamma-distributed rate" in line for line in bursty.assumptions)


def test_caps_replace_those_of_the_preset():
    config = WorkloadConfig(max_prompt_tokens=500, max_output_tokens=20_000)
    workload = build_workload(config, 1)
    assert (workload.max_prompt_tokens, workload.max_output_tokens) == (500, 20_000)
    assert any("prompts longer than 500 tokens are cut" in line for line in workload.assumptions)


def test_a_closed_loop_mixes_fixed_and_drawn_lengths():
    config = WorkloadConfig(kind="closed_loop", concurrency=4, preset="code", output_tokens=100)
    workload = build_workload(config, 1)
    assert workload.max_prompt_tokens == read_preset("code").prompt.max_tokens
    assert workload.max_output_tokens == 100
    assert "4 users" in workload.title
    assert "every output has 100 tokens" in workload.assumptions


def test_users_of_a_closed_loop_may_think():
    loop = {"kind": "closed_loop", "concurrency": 3, "prompt_tokens": 5, "output_tokens": 5}
    workload = build_workload(WorkloadConfig(**loop, think_s=4.0), 3000)
    think_s = np.concatenate([block.traits.think_s for block in workload.blocks(Streams(1))])
    assert think_s.mean() == pytest.approx(4.0, abs=4 * 4.0 / np.sqrt(3000))
    assert "after a time to think, exponential of mean 4 s" in workload.assumptions[0]
    classes = (TrafficClassConfig(name="a"),)
    classed = build_workload(WorkloadConfig(**loop, think_s=4.0, traffic_classes=classes), 3000)
    assert np.array_equal(next(classed.blocks(Streams(1))).traits.think_s, think_s[:1024])
    without = build_workload(WorkloadConfig(**loop), 3000)
    assert next(without.blocks(Streams(1))).traits is None


def test_what_requests_share_is_told_from_the_settings():
    part = MixPartConfig(preset="long_context_rag")
    rag, agentic = (
        WorkloadConfig(kind="mix", mix=(part,), rate=1.0),
        WorkloadConfig(preset="agentic"),
    )
    assert (has_sessions(rag), shares_prefixes(rag)) == (False, True)
    assert (has_sessions(agentic), shares_prefixes(agentic)) == (True, True)
    assert not shares_prefixes(WorkloadConfig(preset="chat"))
    traces = {
        one: WorkloadConfig(kind="trace", path="x", format=one) for one in ("azure", "mooncake")
    }
    assert [shares_prefixes(trace) for trace in traces.values()] == [False, True]
    assert not any(has_sessions(trace) for trace in traces.values())


def test_a_trace_is_opened_checked_and_cut(tmp_path):
    path = tmp_path / "azure.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.68,374,44\n2023-11-16 18:15:48.68,74,4\n"
    )
    config = WorkloadConfig(kind="trace", path=str(path), rate_scale=2.0, max_prompt_tokens=100)
    workload = build_workload(config, 50)
    assert (workload.requests, workload.max_prompt_tokens) == (4, 100)
    assert workload.mean_rate == pytest.approx(1.0)
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="line 1"):
        build_workload(config, 50)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (WorkloadConfig(kind="presett"), ConfigError, "Did you mean 'preset'"),
        (WorkloadConfig(preset="cod"), TableError, "Did you mean 'code'"),
        (WorkloadConfig(arrivals="poison"), ConfigError, "Did you mean 'poisson'"),
        (WorkloadConfig(kind="trace", path="x", format="azur"), ConfigError, "'azure'"),
        (WorkloadConfig(kind="trace", path="/nowhere/at/all.csv"), DataError, "no folder"),
    ],
)
def test_unknown_names_suggest_the_nearest(config, error, message):
    with pytest.raises(error, match=message):
        build_workload(config, 10)


def test_a_workload_of_no_requests_is_refused():
    with pytest.raises(ConfigError, match="0 requests"):
        build_workload(WorkloadConfig(), 0)


def test_fixed_lengths_can_be_spread_as_load_generators_do():
    config = WorkloadConfig(
        kind="closed_loop",
        concurrency=4,
        prompt_tokens=1024,
        output_tokens=100,
        random_range_ratio=0.8,
    )
    loop = build_workload(config, 2000)
    prompts = np.concatenate([block.prompt_tokens for block in loop.blocks(Streams(seed=3))])
    assert prompts.min() == 819
    assert prompts.max() == 1024
    assert prompts.mean() == pytest.approx((819 + 1024) / 2, rel=0.01)
    assert any("0.8 to 1 times 1024" in note for note in loop.assumptions)


def test_traces_may_share_prefixes_and_sessions_as_their_format_has_them():
    def trace(name, **settings):
        return WorkloadConfig(kind="trace", path="x", format=name, **settings)

    assert not shares_prefixes(trace("azure"))
    assert (has_sessions(trace("mooncake")), shares_prefixes(trace("mooncake"))) == (False, True)
    agentic = trace("agentic", concurrency=2)
    assert (has_sessions(agentic), shares_prefixes(agentic)) == (True, True)
