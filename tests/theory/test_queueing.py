"""Queueing theory: scenarios that reduce to textbook queues."""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps
from scipy.stats import t as student

from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig

REQUESTS, REPLICATIONS = 4000, 12


def interval(samples):
    """The 99 % confidence interval of a mean over independent replications."""
    half = student.ppf(0.995, len(samples) - 1) * np.std(samples, ddof=1) / np.sqrt(len(samples))
    return np.mean(samples) - half, np.mean(samples) + half


def waits_s(rate, steps, output_tokens, **limits):
    """Mean wait for admission, per replication, of a Poisson stream."""
    workload = build_workload(
        WorkloadConfig(
            preset="code", arrivals="poisson", rate=rate, prompt_tokens=1, **output_tokens
        ),
        REQUESTS,
    )
    waits = []
    for seed in range(REPLICATIONS):
        done = Bench().run(workload, steps, seed=seed, **limits).requests
        waits.append(np.mean(done.column("admitted_s") - done.column("arrival_s")))
    return waits


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_sequence_at_a_time_is_an_m_d_1_queue(load):
    """Pollaczek-Khinchine with constant service: W = rho S / (2 (1 - rho))."""
    steps, tokens = FakeSteps(step_s=0.1), 10
    service_s = steps.step_s * tokens
    waits = waits_s(load / service_s, steps, {"output_tokens": tokens}, max_num_seqs=1)
    low, high = interval(waits)
    assert low <= load * service_s / (2 * (1 - load)) <= high


@pytest.mark.parametrize("load", [0.4, 0.7])
def test_random_lengths_make_it_an_m_g_1_queue(load):
    """Pollaczek-Khinchine: W = lambda E[S^2] / (2 (1 - rho)), S proportional to the output."""
    steps = FakeSteps(step_s=0.01)
    law = build_workload(WorkloadConfig(preset="code"), 1).output
    outputs = law.sample(np.random.default_rng(0), 2_000_000) * steps.step_s
    rate = load / outputs.mean()
    low, high = interval(waits_s(rate, steps, {}, max_num_seqs=1))
    assert low <= rate * np.mean(outputs**2) / (2 * (1 - load)) <= high


def test_littles_law():
    """Requests in the system, averaged over time, are rate times mean stay."""
    workload = build_workload(WorkloadConfig(preset="chat", arrivals="poisson", rate=2.0), REQUESTS)
    bench = Bench().run(workload, FakeSteps(step_s=0.02, request_s=1e-3))
    arrival, finish = bench.requests.column("arrival_s"), bench.requests.column("finish_s")
    stay = np.mean(finish - arrival)
    steps = bench.iterations
    # A request decodes during the steps it takes part in; prefill and waiting are the rest.
    inside = (steps.column("decode_requests") * steps.column("duration_s")).sum()
    decode_stay = np.mean(finish - bench.requests.column("first_token_s"))
    horizon = finish.max() - arrival.min()
    assert inside / horizon == pytest.approx(REQUESTS / horizon * decode_stay, rel=1e-9)
    assert decode_stay < stay
