"""Settings: what is impossible is refused, naming key, value and what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.mapping import from_mapping
from simulator.workload.config import DiurnalConfig, WorkloadConfig
from simulator.workload.markov import RateState

LOOP = {"kind": "closed_loop", "concurrency": 8, "prompt_tokens": 128, "output_tokens": 16}
TRACE = {"kind": "trace", "path": "trace.csv"}

STATES = (RateState(rate=1.0, dwell_s=9.0), RateState(rate=2.0, dwell_s=9.0))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"preset": "code", "rate": 3.0, "arrivals": "poisson"},
        {"prompt_tokens": 1, "output_tokens": 10**7},
        {"max_prompt_tokens": 64, "prompt_tokens": 64},
        LOOP,
        {**LOOP, "preset": "chat", "prompt_tokens": None},
        TRACE,
        {**TRACE, "rate_scale": 2.5, "max_output_tokens": 9},
        {**TRACE, "window_s": (0.0, 60.0), "keep_share": 0.5, "time_stretch": 2.0, "jitter_s": 0.0},
        {**TRACE, "on_bad_row": "skip", "format": "mooncake", "hash_tokens": 256},
        {**TRACE, "format": "agentic", "concurrency": 4},
        {**TRACE, "format": "agentic", "rate": 0.1, "on_bad_row": "skip"},
        {"kind": "servegen", "path": "folder", "rate": 3.0, "window_s": (0.0, 60.0)},
    ],
)
def test_possible_settings_are_accepted(settings):
    config = WorkloadConfig(**settings)
    for key, value in settings.items():
        assert getattr(config, key) == value


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 0.0}, ["workload.rate is 0.0", "between"]),
        ({"rate": -2.0}, ["workload.rate is -2.0"]),
        ({"rate": float("nan")}, ["workload.rate is nan"]),
        ({"rate": float("inf")}, ["workload.rate is inf"]),
        ({"rate": 1e-9}, ["workload.rate is 1e-09", "1e-06"]),
        ({"prompt_tokens": 0}, ["workload.prompt_tokens is 0", "between 1 and"]),
        ({"output_tokens": 10**7 + 1}, ["workload.output_tokens is 10000001"]),
        ({"max_prompt_tokens": -1}, ["workload.max_prompt_tokens is -1"]),
        ({"max_output_tokens": 0}, ["workload.max_output_tokens is 0"]),
        ({"prompt_tokens": 65, "max_prompt_tokens": 64}, ["65", "max_prompt_tokens=64", "raise"]),
        ({"concurrency": 8}, ["workload.concurrency is 8", "kind=preset", "closed_loop"]),
        ({"path": "x.csv"}, ["workload.path is 'x.csv'", "workload.kind=trace"]),
        ({"rate_scale": 2.0}, ["workload.rate_scale is 2.0", "workload.rate"]),
        ({**LOOP, "rate": 1.0}, ["workload.rate is 1.0", "closed_loop"]),
        ({**LOOP, "random_range_ratio": 0.0}, ["random_range_ratio is 0.0", "above 0"]),
        ({"random_range_ratio": 0.8}, ["random_range_ratio is 0.8", "prompt_tokens"]),
        ({**LOOP, "arrivals": "poisson"}, ["workload.arrivals is 'poisson'"]),
        ({"interarrival_cv": 2.0}, ["workload.arrivals=null", "gamma or weibull"]),
        ({"interarrival_cv": 0.0, "arrivals": "gamma"}, ["interarrival_cv is 0.0", "0.05"]),
        ({"rate_states": STATES, "arrivals": "poisson"}, ["rate_states", "markov_modulated"]),
        ({**LOOP, "diurnal": DiurnalConfig(profile="x")}, ["workload.diurnal is set"]),
        ({**LOOP, "think_s": 0.0}, ["workload.think_s is 0.0"]),
        ({**TRACE, "think_s": 3.0}, ["workload.think_s is 3.0", "a trace has its own"]),
        ({**LOOP, "concurrency": 0}, ["workload.concurrency is 0", "users"]),
        ({**LOOP, "concurrency": None}, ["workload.concurrency is not set"]),
        ({**LOOP, "output_tokens": None}, ["workload.output_tokens is not set", "preset"]),
        ({**LOOP, "path": "x"}, ["workload.path is 'x'"]),
        ({"kind": "trace"}, ["workload.path is not set", "trace file"]),
        ({**TRACE, "path": ""}, ["workload.path is not set"]),
        ({**TRACE, "rate": 2.0}, ["workload.rate is 2.0", "workload.rate_scale"]),
        ({**TRACE, "rate_scale": 0.0}, ["workload.rate_scale is 0.0"]),
        ({**TRACE, "rate_scale": float("nan")}, ["workload.rate_scale is nan"]),
        ({**TRACE, "window_s": (9.0, 3.0)}, ["workload.window_s is [9.0, 3.0]", "[0, 600]"]),
        ({**TRACE, "window_s": (9.0,)}, ["workload.window_s is [9.0]"]),
        ({**TRACE, "window_s": (0.0, float("nan"))}, ["workload.window_s is [0.0, nan]"]),
        ({**TRACE, "keep_share": 0.0}, ["workload.keep_share is 0.0", "workload.rate_scale"]),
        ({**TRACE, "keep_share": 1.5}, ["workload.keep_share is 1.5"]),
        ({**TRACE, "time_stretch": float("nan")}, ["workload.time_stretch is nan"]),
        ({**TRACE, "jitter_s": -1.0}, ["workload.jitter_s is -1.0"]),
        ({**TRACE, "hash_tokens": 0}, ["workload.hash_tokens is 0", "tokens"]),
        ({**TRACE, "on_bad_row": "skp"}, ["'skp'", "workload.on_bad_row", "Did you mean 'skip'"]),
        ({**TRACE, "concurrency": 3}, ["workload.concurrency is 3"]),
        ({**TRACE, "format": "agentic"}, ["no common time", "workload.concurrency"]),
        ({"keep_share": 0.5}, ["workload.keep_share is 0.5", "workload.rate instead"]),
        ({**LOOP, "on_bad_row": "skip"}, ["workload.on_bad_row is 'skip'", "traces only"]),
        ({"format": "csv"}, ["workload.format is 'csv'", "traces only"]),
        ({"kind": "servegen"}, ["workload.path is not set"]),
        ({**TRACE, "preset": "chat"}, ["workload.preset is 'chat'"]),
        ({**TRACE, "prompt_tokens": 5}, ["workload.prompt_tokens is 5", "max_prompt_tokens"]),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(ConfigError) as caught:
        WorkloadConfig(**settings)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_kind_of_a_plugin_is_left_to_the_plugin():
    assert WorkloadConfig(kind="sessions", rate=2.0, concurrency=3).kind == "sessions"


@given(
    kind=st.sampled_from(["preset", "closed_loop", "trace"]),
    rate=st.none() | st.floats(),
    concurrency=st.none() | st.integers(),
    rate_scale=st.just(1.0) | st.floats(),
    prompt_tokens=st.none() | st.integers(),
    max_prompt_tokens=st.none() | st.integers(),
)
def test_any_numbers_are_accepted_or_refused_with_one_line(**settings):
    message = None
    try:
        config = WorkloadConfig(path="x" if settings["kind"] == "trace" else None, **settings)
    except ConfigError as error:
        message = str(error)
    if message is None:
        assert config.rate is None or 0 < config.rate < 1e7
        assert config.concurrency is None or config.concurrency >= 1
    else:
        assert message.startswith("workload.")
        assert "\n" not in message


def test_a_list_that_may_be_null_comes_through_a_mapping():
    config = from_mapping(WorkloadConfig, {**TRACE, "window_s": [0, 60]}, "workload")
    assert config.window_s == (0.0, 60.0)
    with pytest.raises(ConfigError, match=r"workload\.window_s\[1\]='x' must be a number"):
        from_mapping(WorkloadConfig, {**TRACE, "window_s": [0, "x"]}, "workload")
    with pytest.raises(ConfigError, match=r"workload\.window_s=60 must be a list"):
        from_mapping(WorkloadConfig, {**TRACE, "window_s": 60}, "workload")
