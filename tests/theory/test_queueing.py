"""Queueing theory: scenarios that reduce to textbook queues.

Every mean is estimated from independent replications, with Student's 99 % interval of their means:
the autocorrelation within a replication does not matter to it. So a right engine fails one case in
a hundred when seeds are drawn anew; here they are fixed. `PRECISION` says that no interval is so
wide that it would hold any figure.

With one sequence at a time a request is served for as many steps as it has output tokens, its
prompt of one token taking the first. Requests are admitted between steps: what this adds where
several are served is priced exactly (`queues.stepwise_requests`), and is less than half a step.
"""

import numpy as np
import pytest
from helpers.queues import (
    GeometricLength,
    erlang_c,
    interval,
    poisson_workload,
    pollaczek_khinchine,
    stepwise_requests,
)
from helpers.serving_bench import Bench, FakeSteps

from simulator.compose import compose
from simulator.scenario import build
from simulator.study.paired import simulate
from simulator.trace.read import chunks
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.lengths import FixedLength

REQUESTS, REPLICATIONS = 4000, 10
WARM_UP = 400
"""Requests at the beginning that are not measured: the system starts empty."""

PRECISION = 0.2
"""Half an interval, over the expected figure, at most."""

STEP_S = 0.125
TOKENS = 8
"""Mean output tokens, so that a service takes one second on average."""

MIXED = GeometricLength((4, 24), (0.8, 0.2))
"""A hyperexponential law of that mean, in steps; squared coefficient of variation 2.9."""


def slow(*values):
    """A case of the long suite."""
    return pytest.param(*values, marks=pytest.mark.slow)


def runs(rate, output, steps, **limits):
    """Serve a Poisson stream, replication after replication."""
    workload = poisson_workload(rate, output, REQUESTS)
    for seed in range(REPLICATIONS):
        yield Bench().run(workload, steps, seed=seed, **limits)


def column(bench, name):
    """A column of the measured requests, in the order of arrival."""
    order = np.argsort(bench.requests.column("request_id"))
    return bench.requests.column(name)[order][WARM_UP:]


def waits_s(*settings, **limits):
    """Mean wait for admission by replication."""
    return [
        np.mean(column(bench, "admitted_s") - column(bench, "arrival_s"))
        for bench in runs(*settings, **limits)
    ]


def stays_s(bench):
    return column(bench, "finish_s") - column(bench, "arrival_s")


def holds(samples, expected):
    """Whether the interval holds a figure, and is narrow enough to say so."""
    low, high = interval(samples)
    assert (high - low) / 2 < PRECISION * expected
    return low <= expected <= high


@pytest.mark.parametrize("load", [0.6, slow(0.3), slow(0.8)])
def test_one_sequence_at_a_time_is_an_m_d_1_queue(load):
    """Pollaczek-Khinchine with constant service: W = rho S / (2 (1 - rho))."""
    waits = waits_s(load, FixedLength(TOKENS), FakeSteps(step_s=STEP_S), max_num_seqs=1)
    assert holds(waits, load / (2 * (1 - load)))


@pytest.mark.parametrize("load", [0.6, slow(0.3), slow(0.8)])
def test_geometric_lengths_make_it_an_m_m_1_queue(load):
    """W = rho S / (1 - rho) for exponential service; a geometric one has 1/(2 mean) less of it."""
    output = GeometricLength((TOKENS,))
    mean, second = output.moments()
    expected = pollaczek_khinchine(load, mean * STEP_S, second * STEP_S**2)
    assert expected == pytest.approx(load / (1 - load) * (1 - 1 / (2 * TOKENS)))
    steps, waits, late = FakeSteps(step_s=STEP_S), [], []
    for bench in runs(load, output, steps, max_num_seqs=1):
        wait_s = column(bench, "admitted_s") - column(bench, "arrival_s")
        waits.append(np.mean(wait_s))
        late.append(np.mean(wait_s > 1e-9))
    assert holds(waits, expected)
    assert holds(late, load)  # Poisson arrivals see time averages


@pytest.mark.parametrize("load", [0.5, slow(0.3)])
def test_mixed_lengths_make_it_an_m_g_1_queue(load):
    """Pollaczek-Khinchine for a hyperexponential service."""
    mean, second = MIXED.moments()
    assert mean == pytest.approx(TOKENS)
    assert second / mean**2 - 1 == pytest.approx(2.9, abs=0.1)
    waits = waits_s(load, MIXED, FakeSteps(step_s=STEP_S), max_num_seqs=1)
    assert holds(waits, pollaczek_khinchine(load, mean * STEP_S, second * STEP_S**2))


@pytest.mark.slow
def test_the_lengths_of_a_preset_make_it_an_m_g_1_queue():
    load, step_s = 0.4, 0.01
    law = build_workload(WorkloadConfig(preset="code"), 1).output
    services_s = law.sample(np.random.default_rng(0), 2_000_000) * step_s
    rate = load / services_s.mean()
    waits = waits_s(rate, law, FakeSteps(step_s=step_s), max_num_seqs=1)
    low, high = interval(waits)  # its tail is heavy: the interval is wider than for the others
    expected = pollaczek_khinchine(rate, services_s.mean(), np.mean(services_s**2))
    assert low <= expected <= high < 2 * expected


@pytest.mark.parametrize(("servers", "load"), [(4, 0.7), slow(2, 0.5), slow(8, 0.8)])
def test_steps_that_take_as_long_whatever_the_batch_make_it_an_m_m_k_queue(servers, load):
    """Erlang C: a wait of C(k, rho) / (k mu - lambda), on top of a service of one second."""
    rate = servers * load
    exact_s = stepwise_requests(rate, STEP_S, 1 / TOKENS, servers=servers, grows=False) / rate
    erlang_s = 1 + erlang_c(servers, load) / (servers - rate)
    assert 0 < exact_s - erlang_s < 0.5 * STEP_S
    steps, output = FakeSteps(step_s=STEP_S), GeometricLength((TOKENS,))
    stays = [np.mean(stays_s(bench)) for bench in runs(rate, output, steps, max_num_seqs=servers)]
    assert holds(stays, exact_s)


SHARED = FakeSteps(step_s=0.0, request_s=STEP_S, prompt_token_s=STEP_S)
"""A step takes as long as it has requests: each of them gets an equal share of the processor."""


@pytest.mark.parametrize("load", [0.6, slow(0.3), slow(0.7)])
def test_steps_that_grow_with_the_batch_share_the_processor(load):
    """M/M/1-PS: a mean stay of S / (1 - rho)."""
    exact_s = stepwise_requests(load, STEP_S, 1 / TOKENS, servers=10**9, grows=True) / load
    assert exact_s == pytest.approx(1 / (1 - load), abs=0.1 * STEP_S)
    output = GeometricLength((TOKENS,))
    assert holds([np.mean(stays_s(bench)) for bench in runs(load, output, SHARED)], exact_s)


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(FixedLength(TOKENS), marks=pytest.mark.slow, id="fixed"),
        pytest.param(MIXED, id="mixed"),
    ],
)
def test_sharing_the_processor_is_insensitive_to_the_law_of_the_lengths(output):
    """The mean stay depends on the mean length alone, where first come first served does not."""
    load = 0.6
    assert holds([np.mean(stays_s(bench)) for bench in runs(load, output, SHARED)], 1 / (1 - load))


@pytest.mark.slow
def test_a_shared_processor_delays_every_request_in_proportion_to_its_length():
    """E[stay | x] = x / (1 - rho), for the short as for the long."""
    load = 0.6
    short, long = [], []
    for bench in runs(load, MIXED, SHARED):
        tokens, stays = column(bench, "output_tokens"), stays_s(bench)
        for kept, means in ((tokens <= 4, short), (tokens >= 16, long)):
            means.append(stays[kept].sum() / (tokens[kept].sum() * STEP_S))
    assert holds(short, 1 / (1 - load))
    assert holds(long, 1 / (1 - load))


@pytest.mark.parametrize(
    ("steps", "limits"),
    [(FakeSteps(step_s=STEP_S), {"max_num_seqs": 4}), slow(SHARED, {})],
    ids=["four at once", "shared"],
)
def test_littles_law(steps, limits):
    """L = lambda W: L from the iterations, lambda as configured, W from the requests.

    Who waits is counted at the end of a step, and comes in at its beginning: with prompts of one
    token, prefilled tokens are the requests that did. Between the two the queue grows evenly.
    """
    rate = 0.7 * limits.get("max_num_seqs", 1)
    gaps = []
    for bench in runs(rate, GeometricLength((TOKENS,)), steps, **limits):
        table = bench.iterations.column
        came_in, queued_after = table("prefill_tokens"), table("waiting_requests")
        arrived = bench.requests.column("arrival_s")
        # A queue that was empty took in whoever came while the replica was idle.
        queued_before = np.maximum(np.append(0, queued_after[:-1]) - came_in, 0)
        inside = table("decode_requests") + came_in + (queued_before + queued_after) / 2
        end_s = arrived.max()
        within = table("start_s") + table("duration_s") <= end_s
        mean_inside = (inside * table("duration_s"))[within].sum() / end_s
        stay_s = bench.requests.column("finish_s") - arrived
        gaps.append(mean_inside / (rate * stay_s.mean()))
    assert holds(gaps, 1.0)


@pytest.mark.slow
def test_a_whole_configuration_that_is_an_m_d_1_queue(tmp_path):
    """Prompts of one length, answers of one token: a service is one prefill step of a real model.

    The front end takes as long for each request, one at a time. Before a slower constant service
    that adds its own time and changes no wait (Friedman, Oper. Res. 13, 1965).
    """
    load = 0.7
    settings = [
        "speculation=off",
        "hardware.engine=vllm_async",
        "workload.prompt_tokens=2000",
        "workload.output_tokens=1",
        "workload.arrivals=poisson",
        "scheduler.max_num_seqs=1",
        "run.workers=1",
    ]
    deployment = build(compose([*settings, "run.requests=1"])).deployment(0)
    service_s = deployment.costs[0].mixed_s(0, 0, [(0, 2000)])
    assert 0 < deployment.front_end_request_s < service_s
    settings += [f"run.requests={REQUESTS}", f"run.replications={REPLICATIONS}"]
    scenario = build(compose([*settings, f"workload.rate={load / service_s}"]))
    files = [tmp_path / f"{name}.parquet" for name in ("requests", "iterations")]
    simulate(scenario, *files, lambda _: None)
    waits = {}
    names = ["request_id", "arrival_s", "admitted_s", "finish_s"]
    for run, rows in chunks(files[0], "requests", names):
        assert rows["finish_s"] - rows["admitted_s"] == pytest.approx(service_s, abs=1e-9)
        measured = rows["request_id"] >= WARM_UP
        waits[run] = np.mean((rows["admitted_s"] - rows["arrival_s"])[measured])
    front_end_s = deployment.front_end_request_s + deployment.front_end_s
    mine = [wait - front_end_s for run, wait in waits.items() if run.arm == "baseline"]
    assert len(mine) == REPLICATIONS
    assert holds(mine, load * service_s / (2 * (1 - load)))
