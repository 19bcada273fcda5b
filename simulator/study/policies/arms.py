"""What is compared: every fixed draft length, a batch-size schedule, the cost-model optimum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from simulator.config import Config
from simulator.costs.compiled import CompiledSteps, windows_by_length
from simulator.scenario import Scenario, build
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.policies import FIXED
from simulator.speculation.schedule import best_schedule
from simulator.streams import Streams

ADAPTIVE = ("batch_schedule", "cost_model")
"""Policies that are compared with the fixed draft lengths."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to choose draft lengths.

    Parameters
    ----------
    name
        ``gamma 0`` and so on, or the name of a policy.
    config
        The scenario with it.
    """

    name: str
    config: Config

    @property
    def fixed(self) -> bool:
        """Whether every draft is as long."""
        return self.config.speculation.policy == FIXED


def arms(config: Config, longest: int) -> Iterator[Arm]:
    """Yield the arms of a scenario.

    Parameters
    ----------
    config
        The scenario; its own draft length and policy do not matter.
    longest
        Longest draft of all arms.
    """
    plain = fixed_policy(config.speculation, longest)
    for gamma in range(longest + 1):
        yield Arm(f"gamma {gamma}", replace(config, speculation=replace(plain, gamma=gamma)))
    rows = derived_schedule(build(replace(config, speculation=plain)))
    for policy, schedule in zip(ADAPTIVE, (rows, []), strict=True):
        chosen = replace(plain, policy=policy, schedule=schedule)
        yield Arm(policy, replace(config, speculation=chosen))


def fixed_policy(speculation: SpeculationConfig, gamma: int) -> SpeculationConfig:
    """Return settings that always draft so many tokens, without those of any other policy."""
    return replace(speculation, gamma=gamma, policy=FIXED, schedule=[], threshold=None, table=None)


def derived_schedule(scenario: Scenario) -> list[list[int]]:
    """Return the schedule that step times and acceptance of a scenario lead to.

    The context of a request is taken as its mean over time: prompt and half the output, weighed
    by the output, for a request decodes as long as its output is.
    """
    gamma = scenario.config.speculation.gamma
    costs = [CompiledSteps(scenario.step_model, length) for length in range(gamma + 1)]
    return best_schedule(
        windows_by_length(costs),
        [scenario.acceptance.tokens_per_round(length) for length in range(gamma + 1)],
        last_batch=scenario.deployment(gamma).limits.max_num_seqs,
        context_tokens=mean_context_tokens(scenario),
    )


def mean_context_tokens(scenario: Scenario) -> float:
    """Return the cached tokens of a decoding request, on average over time."""
    block = next(iter(scenario.workload.blocks(Streams(scenario.config.run.seed))))
    prompts, outputs = block.prompt_tokens, block.output_tokens
    return float((outputs * (prompts + outputs / 2)).sum() / outputs.sum())
