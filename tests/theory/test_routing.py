"""Routers against closed forms: many replicas that serve one request at a time.

Poisson arrivals of rate load x n at n replicas, service exponential with mean 1. A request is one
step, as long as its prompt.
"""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, deployment
from scipy.stats import t as student

from simulator.serving.router import ROUTERS

TICK_S = 1e-4
"""Service times are multiples of this."""


@pytest.fixture(autouse=True)
def _one_choice(monkeypatch):
    """A router that chooses blindly, as a plug-in would bring it."""
    factories = {**ROUTERS._factories, "blind": Blind}
    monkeypatch.setattr(ROUTERS, "_factories", factories)


class Blind:
    def __init__(self, settings, draws):
        self.draws = draws

    def choose(self, replicas, request):
        return int(next(self.draws) * len(replicas))


def queue_tail(router, load, *, replicas, requests, seed):
    """Share of time at which a replica has at least k requests, k = 0, 1, ...

    From arrivals and departures; the first fifth of the time of arrivals is cut, and what follows
    it.
    """
    rng = np.random.default_rng(seed)
    gaps, services = rng.exponential(size=(2, requests))
    # Means to the point, so that the load is: the tail at k moves with its power 2 ** k - 1.
    arrivals = np.cumsum(gaps / gaps.mean() / (load * replicas))
    prompts = np.ceil(services / services.mean() / TICK_S).astype(int)
    workload = FixedWorkload(arrivals.tolist(), prompts.tolist(), [1] * requests)
    steps = FakeSteps(step_s=0.0, prompt_token_s=TICK_S)
    pool = deployment(steps, replicas=replicas, max_num_seqs=1, max_batched_tokens=10**7)
    rows = Bench().run_cluster(workload, [pool], router=router, seed=seed).requests
    replica, come, go = (rows.column(name) for name in ("replica", "arrival_s", "finish_s"))
    start_s, end_s = 0.2 * come.max(), come.max()
    held_s = np.zeros(requests)
    for index in range(replicas):
        mine = replica == index
        times = np.concatenate([come[mine], go[mine]])
        change = np.repeat([1, -1], mine.sum())
        order = np.argsort(times, kind="stable")
        times = np.clip(np.concatenate([[0.0], times[order], [end_s]]), start_s, end_s)
        level = np.concatenate([[0], np.cumsum(change[order])])
        np.add.at(held_s, level, np.diff(times))
    share = held_s / (replicas * (end_s - start_s))
    return np.cumsum(share[::-1])[::-1]


def intervals(runs):
    """The 99 % confidence interval of a mean over independent replications, by column."""
    runs = np.array(runs)
    half = student.ppf(0.995, len(runs) - 1) * runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    return runs.mean(axis=0) - half, runs.mean(axis=0) + half


@pytest.mark.parametrize(
    ("router", "replicas", "tail"),
    [
        # Mitzenmacher 2001, for infinitely many replicas
        ("power_of_two", 100, lambda load, k: load ** (2.0**k - 1)),
        ("blind", 20, lambda load, k: load**k),  # independent M/M/1 queues, however many
    ],
)
def test_tails_of_queues(router, replicas, tail):
    load, k = 0.7, np.arange(1, 5)
    runs = [
        queue_tail(router, load, replicas=replicas, requests=16_000, seed=seed)[1:5]
        for seed in range(6)
    ]
    low, high = intervals(runs)
    # With 100 replicas for infinitely many, the mean-field limit is off by O(1 / n).
    slack = 0.01 if router == "power_of_two" else 0.0
    assert (low - slack * tail(load, k) <= tail(load, k)).all(), (low, high)
    assert (tail(load, k) <= high + slack * tail(load, k)).all(), (low, high)


def test_routers_rank_as_theory_says():
    """Requests in the system: all queues known < two of them < replicas in turn < blind."""
    load = 0.8
    held = [
        queue_tail(router, load, replicas=20, requests=8_000, seed=5)[1:].sum()
        for router in ("least_outstanding", "power_of_two", "round_robin", "blind")
    ]
    assert held == sorted(held)
    assert held[0] < 0.6 * held[2]
