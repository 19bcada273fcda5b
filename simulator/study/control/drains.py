"""How fast requests leave a replica, by draft length, phase and backlog: from the cost model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.config import Config
from simulator.costs.compiled import CompiledSteps
from simulator.errors import ConfigError
from simulator.scenario import Scenario
from simulator.speculation.phases import PhaseAcceptance
from simulator.streams import Streams
from simulator.study.policies.arms import mean_context_tokens
from simulator.workload.arrivals import Poisson
from simulator.workload.swing import Swinging

Floats = NDArray[np.float64]

LOAD_LEVELS = 6
"""Levels that a swinging load is cut into, of equal time each."""

MOST_REQUESTS = 300
"""Most requests on a replica, running and waiting: moves between so many are computed exactly."""


@dataclass(frozen=True, slots=True)
class Drains:
    """What the cost model says about one replica.

    Parameters
    ----------
    arrivals_per_s
        Requests per second by level of the load.
    leaving_per_s
        By action, phase (easy, hard) and number of requests from 1 on: float64[A, 2, N].
    easy_residents
        Share of easy requests among those that decode, by phase. Hard ones take more rounds, so
        there are more of them than among arrivals.
    max_running
        Requests that run at a time; others wait.
    """

    arrivals_per_s: tuple[float, ...]
    leaving_per_s: Floats
    easy_residents: Floats
    max_running: int

    @property
    def most_requests(self) -> int:
        """N: running and waiting; what comes then is refused."""
        return int(self.leaving_per_s.shape[-1])

    @property
    def mean_arrivals_per_s(self) -> float:
        """Mean over the levels, which last equally long."""
        return float(np.mean(self.arrivals_per_s))


def drains(scenario: Scenario, gammas: Sequence[int]) -> Drains:
    """Price a scenario whose acceptance has phases.

    A request of L output tokens takes ``L / t`` rounds; on a batch of m each lasts T(m, gamma).
    Prompts are computed one after another meanwhile. Lengths and contexts are means.

    Parameters
    ----------
    scenario
        An open loop on ``speculation.acceptance=phases``.
    gammas
        Draft lengths.

    Raises
    ------
    ConfigError
        If it is something else, or holds more requests than can be followed.
    """
    config, acceptance = scenario.config, scenario.acceptance
    if not isinstance(acceptance, PhaseAcceptance) or config.speculation.phases is None:
        raise ConfigError(
            f"speculation.acceptance={config.speculation.acceptance} has no phases that a "
            "controller could learn; choose speculation=phases."
        )
    arrivals_per_s = _arrivals(config, scenario)
    running, most = _limits(scenario, max(gammas))
    block = next(iter(scenario.workload.blocks(Streams(config.run.seed))))
    output_tokens = float(block.output_tokens.mean())
    prompt = (0, round(float(block.prompt_tokens.mean())))
    context = mean_context_tokens(scenario)
    own = config.speculation.phases.own_share
    arriving = np.array([own, 1.0 - own])
    leaving = np.empty((len(gammas), 2, most))
    for action, gamma in enumerate(gammas):
        costs = CompiledSteps(scenario.step_model, gamma, follows=True)
        prompt_s = costs.mixed_s(0, 0, [prompt])
        batches = range(1, running + 1)
        # Of the whole batch: seconds a step and request, and so seconds a round of one that leaves.
        per_round_s = np.array([costs.decode_s(n, round(n * context)) / n for n in batches])
        for phase, share in enumerate(arriving):
            tokens = acceptance.tokens_per_round_of(gamma, share)
            busy = 1.0 / (output_tokens / tokens * per_round_s + prompt_s)
            leaving[action, phase] = np.pad(busy, (0, most - running), mode="edge")
    rounds = np.array(
        [[acceptance.tokens_per_round_of(gamma, kind) for gamma in gammas] for kind in (1.0, 0.0)]
    )
    easy, hard = (1.0 / rounds).mean(axis=1)
    residents = arriving * easy / (arriving * easy + (1.0 - arriving) * hard)
    return Drains(arrivals_per_s, leaving, residents, running)


def _limits(scenario: Scenario, gamma: int) -> tuple[int, int]:
    """Return how many requests run, and how many there can be."""
    limits = scenario.deployment(gamma).limits
    most = limits.max_num_seqs + (limits.max_queue or 0)
    if not 2 <= most <= MOST_REQUESTS:
        raise ConfigError(
            f"scheduler.max_num_seqs={limits.max_num_seqs} and max_queue={limits.max_queue} let "
            f"{most} requests be there; the surrogate follows 2 to {MOST_REQUESTS}. Set lower ones."
        )
    if limits.max_queue is None:
        raise ConfigError(
            "scheduler.max_queue=null lets requests wait without end; the surrogate needs a bound, "
            "for example scheduler.max_queue=16."
        )
    return limits.max_num_seqs, most


def _arrivals(config: Config, scenario: Scenario) -> tuple[float, ...]:
    """Return the rates of the load on one replica, by level."""
    rate, swing = scenario.workload.mean_rate, config.workload.swing
    if rate is None or scenario.workload.concurrency is not None:
        raise ConfigError(
            f"{scenario.workload.title} is a closed loop, whose load no backlog can grow under; "
            "choose an open one, for example workload=chat."
        )
    rate /= config.hardware.replicas
    if swing is None:
        return (rate,)
    cycle = Swinging(Poisson(rate), swing).cycle
    return tuple(rate * cycle.rates.reshape(LOAD_LEVELS, -1).mean(axis=1))
