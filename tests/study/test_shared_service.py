"""Classes, tenants and prefixes from settings to the trace, on the shipped cost model."""

import json

import numpy as np
import pytest
from helpers.serving_bench import Bench

from simulator.compose import compose
from simulator.errors import ConfigError
from simulator.scenario import build
from simulator.study.assumptions import assumptions
from simulator.study.paired import trace_metadata
from simulator.trace.schema import CANCELLED, FINISHED, REJECTED, TIMED_OUT

SMALL = ("speculation.gamma=0", "workload.max_prompt_tokens=4000", "workload.max_output_tokens=300")
BUSY = ("workload.arrivals=poisson", "workload.rate=200", "scheduler.max_num_seqs=8")


def serve(*settings, requests=400):
    """Serve the baseline of one replication; return its requests."""
    config = compose([*SMALL, f"run.requests={requests}", *settings])
    return Bench().run_scenario(build(config), 0).requests


def column(requests, name, **conditions):
    """Return a column where other columns have the values given."""
    keep = np.ones(len(requests.rows), bool)
    for other, value in conditions.items():
        keep &= requests.column(other) == value
    return requests.column(name)[keep]


def ttft_s(requests, **conditions):
    first, arrival = (
        column(requests, name, **conditions) for name in ("first_token_s", "arrival_s")
    )
    return np.median(first - arrival)


CLASSES = (
    "workload.traffic_classes="
    "[{name: batch, share: 3, priority: 1}, {name: chat, share: 1, priority: 0}]"
)


def test_the_urgent_wait_less_under_priorities_and_as_long_as_all_without():
    fcfs = serve(*BUSY, CLASSES)
    urgent = serve(*BUSY, CLASSES, "scheduler.queue=priority")
    assert ttft_s(urgent, traffic_class=1) < 0.2 * ttft_s(urgent, traffic_class=0)
    assert ttft_s(fcfs, traffic_class=1) > 0.5 * ttft_s(fcfs, traffic_class=0)


def test_a_modest_tenant_is_served_beside_one_that_floods():
    """Nine in ten requests are of tenant 0; fairness makes the other's wait hardly any."""
    classes = "workload.traffic_classes=[{name: flood, share: 9}, {name: modest, share: 1}]"
    fcfs, fair = serve(*BUSY, classes), serve(*BUSY, classes, "scheduler.queue=fair")
    assert ttft_s(fair, tenant=1) < 0.3 * ttft_s(fcfs, tenant=1)
    assert ttft_s(fair, tenant=0) < 1.5 * ttft_s(fcfs, tenant=0)


def test_a_shared_prefix_is_computed_once():
    prefix = "workload.shared_prefix={tokens: 1600}"
    light = ("workload.rate=2", "workload.prompt_tokens=2000", "workload.max_prompt_tokens=null")
    with_cache = serve(*light, prefix, requests=50)
    without = serve(*light, prefix, "scheduler.prefix_cache=false", requests=50)
    assert sorted(column(with_cache, "cached_tokens")) == [0] + [1600] * 49
    assert not column(without, "cached_tokens").any()
    assert ttft_s(with_cache) < 0.8 * ttft_s(without)


def test_turns_find_what_was_said_before():
    sessions = "workload.sessions={live: 5, turns: 10, max_tokens: 20000}"
    found = serve("workload.rate=0.5", sessions, requests=100)
    cached, prompts = column(found, "cached_tokens"), column(found, "prompt_tokens")
    assert (cached % 16 == 0).all()
    assert 0.5 < cached.sum() / prompts.sum() < 1.0


def test_a_full_queue_and_impatience_leave_rows():
    classes = "workload.traffic_classes=[{name: all, cancel_after_s: 2}]"
    limits = ("scheduler.max_queue=20", "scheduler.queue_timeout_s=1")
    found = serve(*BUSY, classes, *limits)
    outcomes = set(column(found, "outcome"))
    assert outcomes == {FINISHED, REJECTED, TIMED_OUT, CANCELLED}
    assert len(found.rows) == 400


def test_what_the_scheduler_knows_or_leaves_out_is_said():
    def said(*settings):
        return " | ".join(assumptions(build(compose([*SMALL, *settings])), None))

    prefix = "workload.shared_prefix={tokens: 100}"
    fair = ("workload.traffic_classes=[{name: a, tenants: 2}]", "scheduler.queue=fair")
    assert "as if the length of its output were known" in said(*fair)
    assert "as if the length" not in said()
    assert "requests of a replica that begin alike share KV blocks" in said(prefix)
    assert "(its attention groups as one)" in said(prefix, "hardware.data_parallel=2")
    assert "begin alike" not in said(prefix, "scheduler.prefix_cache=false")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["scheduler.queue=fiar"], "Did you mean 'fair'"),
        (["scheduler.queue=priority"], "all requests have one priority"),
        (["scheduler.queue=fair"], "there is one"),
        (["scheduler.max_queue=0"], "would refuse every request"),
        (["scheduler.queue_timeout_s=0"], "above 0 s, or null"),
        (["workload=fixed_batch", "scheduler.max_queue=9"], "would ask again at once"),
        (["workload.sessions={live: 5, turns: 2, max_token: 9}"], "Did you mean 'max_tokens'"),
        (["workload.traffic_classes=[{share: 2}]"], "name is missing"),
    ],
)
def test_settings_without_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        build(compose(settings))


def test_a_trace_knows_the_classes_of_a_mix():
    """Reports read names and objectives from the trace, which has no presets to look in."""
    config = compose(["workload=mix", "workload.mix=[{preset: chat, share: 2}, {preset: code}]"])
    written = json.loads(trace_metadata(config)["config"])["workload"]["traffic_classes"]
    assert [(one["name"], one["share"], one["slo"]["ttft_s"]) for one in written] == [
        ("chat", 2.0, 2.0),
        ("code", 1.0, 0.45),
    ]


def test_turns_of_agents_find_what_was_said_before():
    found = serve(
        "workload=agentic",
        "workload.rate=0.5",
        "workload.max_prompt_tokens=20000",
        "scheduler.prefix_cache=true",
        "scheduler.router=sticky",
        "hardware.replicas=2",
        requests=100,
    )
    again = column(found, "cached_tokens") / column(found, "prompt_tokens")
    # Where nothing is cached when the run starts, the beginning that all share soon is.
    assert np.median(again) > 0.7
