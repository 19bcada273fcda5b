"""Textbook queues in closed form, and lengths that turn the engine into them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, poisson
from scipy.stats import t as student

from simulator.workload.arrivals import Poisson
from simulator.workload.lengths import FixedLength
from simulator.workload.synthetic import SyntheticWorkload


@dataclass(frozen=True)
class GeometricLength:
    """Output lengths of a mixture of geometric laws: every token may be the last."""

    means: tuple[float, ...]
    weights: tuple[float, ...] = (1.0,)
    max_tokens: int = 10_000

    def sample(self, generator, n):
        means = generator.choice(self.means, n, p=self.weights)
        return np.minimum(generator.geometric(1 / means), self.max_tokens)

    def moments(self):
        """First and second moment, tokens."""
        chance = 1 / np.array(self.means)
        weights = np.array(self.weights)
        return weights @ (1 / chance), weights @ ((2 - chance) / chance**2)


def poisson_workload(rate, output, requests):
    """Poisson arrivals of prompts of one token."""
    return SyntheticWorkload(
        title="queue",
        requests=requests,
        concurrency=None,
        mean_rate=rate,
        assumptions=(),
        prompt=FixedLength(1),
        output=output,
        arrivals=Poisson(rate),
    )


def interval(samples, confidence=0.99):
    """Student's interval of a mean over independent replications.

    What happens within a replication may be correlated; only the replications must not be.
    """
    error = np.std(samples, ddof=1) / math.sqrt(len(samples))
    half = student.ppf(0.5 + confidence / 2, len(samples) - 1) * error
    return np.mean(samples) - half, np.mean(samples) + half


def pollaczek_khinchine(rate, mean, second_moment):
    """Mean wait in M/G/1: ``lambda E[S^2] / (2 (1 - rho))``."""
    return rate * second_moment / (2 * (1 - rate * mean))


def erlang_c(servers, load):
    """Chance to wait in M/M/k at a load per server."""
    offered = servers * load
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def stepwise_requests(rate, step_s, chance, *, servers, grows, states=200):
    """Mean number of requests in a replica whose service times are geometric, exactly.

    Steps form a Markov chain: of N requests min(N, k) take part and each is done with a fixed
    chance, while Poisson arrivals wait for the end of the step. Idle, the first arrival starts a
    step at once.

    Parameters
    ----------
    rate
        Arrivals per second.
    step_s
        Time of a step, or, if it ``grows``, of a step per request that takes part.
    chance
        That a request that takes part is done.
    servers
        Requests that take part at most.
    states
        Where the number of requests is cut off.
    """
    numbers = np.arange(1, states)
    active = np.minimum(numbers, servers)
    length_s = step_s * active if grows else np.full(states - 1, step_s)
    chain = np.zeros((states - 1, states - 1))
    empties = np.zeros(states - 1)
    for row, (number, busy, lasts_s) in enumerate(zip(numbers, active, length_s, strict=True)):
        came = poisson.pmf(np.arange(states), rate * lasts_s)
        after = np.zeros(states)
        for done, weight in enumerate(binom.pmf(np.arange(busy + 1), busy, chance)):
            after[number - done :] += weight * came[: states - number + done]
        empties[row] = after[0]
        after[1] += after[0]  # idle until one comes
        chain[row] = after[1:] / after[1:].sum()
    share = np.linalg.matrix_power(chain, 2**14)[0]
    inside = share @ (length_s * (numbers + rate * length_s / 2))
    return inside / (share @ length_s + share @ empties / rate)
