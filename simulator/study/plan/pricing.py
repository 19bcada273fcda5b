"""Step times of one replica over the batches it may run, and what prompts add to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.costs.compiled import CompiledSteps
from simulator.scenario import Scenario
from simulator.slo import SloConfig
from simulator.speculation.acceptance import Acceptance
from simulator.speculation.by_class import ClassAcceptance
from simulator.speculation.policies import FIXED
from simulator.study.plan.capacity import Supply
from simulator.study.plan.traffic import Ints, Traffic

Floats = NDArray[np.float64]
Chunk = tuple[int, int]

BATCHES_PER_OCTAVE = 4
"""Batches that are priced between one and twice as many. Assumed: in between, steps are close to
straight lines."""

PROMPT_QUANTILES = 8
"""Prompts that stand for all, at equal steps of their distribution."""


class PricedReplica:
    """One replica of a deployment, priced for the traffic that it would see.

    Parameters
    ----------
    scenario
        Of the replica: the whole of it, or one of its pools.
    traffic
        What arrives.
    """

    def __init__(self, scenario: Scenario, traffic: Traffic) -> None:
        speculation = scenario.config.speculation
        self.scenario = scenario
        self.deployment = scenario.deployment(speculation.gamma)
        self._traffic = traffic
        limits = self.deployment.limits
        octaves = int(np.log2(limits.max_num_seqs)) + 1
        steps = np.geomspace(1, limits.max_num_seqs, octaves * BATCHES_PER_OCTAVE)
        self.batches: Floats = np.unique(np.round(steps))
        """Requests that decode at once, ascending, up to the limit."""
        costs = [steps for steps in self.deployment.costs if isinstance(steps, CompiledSteps)]
        self._steps = costs[-1]
        self.tokens_per_round = tokens_per_round(scenario.acceptance, self._steps.gamma, traffic)
        """What a round emits at the longest draft."""
        self._lengths = costs if speculation.policy != FIXED else costs[-1:]
        self.token_s: Floats = self._token_s(traffic)
        """Time per output token of each request at these batches, s, while no prompt is read; at
        the best draft length for each batch where a policy chooses."""

    def supply(self, *, slack: float = 1.0, fill: float = 1.0) -> Supply:
        """Return what the replica offers.

        Parameters
        ----------
        slack
            How many times as fast it is taken to be as it was priced.
        fill
            Share of its batch limit and cache that it uses.
        """
        most = self.batches <= max(1.0, fill * self.batches[-1])
        cache = np.inf if self._traffic.shares_prefixes else self.deployment.kv_capacity_tokens
        return Supply(self.batches[most], self.token_s[most] / slack, fill * float(cache))

    def likely_prefill_s(self, *, alone: bool = False) -> float:
        """Return what the prompt of a mean request adds to the time of the replica, s.

        Parameters
        ----------
        alone
            Nothing decodes beside it.
        """
        quantiles = (np.arange(PROMPT_QUANTILES) + 0.5) / PROMPT_QUANTILES
        prompts = np.quantile(self._traffic.prompt_tokens, quantiles).astype(np.int64).tolist()
        beside = 0 if alone else int(self.fitting // 2)
        return float(np.mean([self._added_s(beside, [max(1, prompt)]) for prompt in prompts]))

    def least_prefill_s(self, served: float, *, most: float = np.inf, alone: bool = False) -> float:
        """Return what the prompt of a mean request adds at the very least, s.

        The launch of a step with prompts is shared by as many prompts as fit a step, all of the
        mean length: attention is convex in the length of a prompt, so that is where it is least.

        Parameters
        ----------
        served
            Share of the requests that must be served; the others may be those with the longest
            prompts.
        most
            Prompts that are read in one step at most.
        alone
            Nothing decodes beside it.
        """
        if self._traffic.shares_prefixes:
            return 0.0
        ordered = np.sort(self._traffic.prompt_tokens)
        kept = ordered[: max(1, int(served * ordered.size))]
        prompt = max(1, int(kept.mean()))
        together = max(1.0, min(most, self.deployment.limits.max_batched_tokens // prompt))
        beside = [0] if alone else [int(self.fitting // 2), int(self.fitting)]
        added_s = [self._each_added_s(batch, prompt, together) for batch in beside]
        return served * max(0.0, min(added_s))

    def _each_added_s(self, batch: int, prompt: int, together: float) -> float:
        """Return what each of so many equal prompts that are read together adds, s."""
        counts = [int(np.floor(together)), int(np.ceil(together))]
        added_s = [self._added_s(batch, [prompt] * count) for count in counts]
        return float(np.interp(together, counts, added_s)) / together

    def alone_ttft_s(self, prompt_tokens: int) -> float:
        """Return the time to first token of a request that meets no other, s."""
        return self._added_s(0, [max(1, prompt_tokens)])

    def least_token_s(self, index: int) -> float:
        """Return the time per output token of a class where no other class is served, s.

        Its contexts and its acceptance are its own: beside others it is no faster. 0 where none of
        its requests decodes.
        """
        own = self._traffic.of_class(index)
        return float(self._token_s(own).min()) if own.later_tokens.sum() else 0.0

    @property
    def fitting(self) -> float:
        """Requests that run at once at most: what limit and cache let in."""
        held = self.deployment.kv_capacity_tokens / max(1.0, self._traffic.context_tokens)
        return float(max(1.0, min(self.batches[-1], held)))

    def _token_s(self, traffic: Traffic) -> Floats:
        """Time per output token over the batches, each at its best draft length, s."""
        best: Floats = np.min([self._token_s_at(steps, traffic) for steps in self._lengths], axis=0)
        return best

    def _token_s_at(self, steps: CompiledSteps, traffic: Traffic) -> Floats:
        context, batches = traffic.context_tokens, self.batches.astype(int).tolist()
        round_s = np.array([steps.decode_s(batch, int(batch * context)) for batch in batches])
        per_token: Floats = round_s / tokens_per_round(
            self.scenario.acceptance, steps.gamma, traffic
        )
        return per_token

    def _added_s(self, batch: int, prompts: Sequence[int]) -> float:
        """Return what prompts that are read together add to steps in which a batch decodes, s."""
        context = int(batch * self._traffic.context_tokens)
        plain_s = self._steps.decode_s(batch, context) if batch else 0.0
        return sum(
            self._steps.mixed_s(batch, context, chunks) - plain_s
            for chunks in self._passes(prompts)
        )

    def _passes(self, prompts: Sequence[int]) -> Iterator[list[Chunk]]:
        """Cut prompts into the chunks of as many steps as they take."""
        budget = self.deployment.limits.max_batched_tokens
        if sum(prompts) <= budget:
            yield [(0, prompt) for prompt in prompts]
            return
        for prompt in prompts:
            for start in range(0, prompt, budget):
                yield [(start, min(prompt, start + budget))]


def tokens_per_round(acceptance: Acceptance, gamma: int, traffic: Traffic) -> float:
    """Return the tokens that a round emits over all requests: all tokens over all rounds.

    Classes that are accepted differently weigh as many rounds as their tokens take.
    """
    if not isinstance(acceptance, ClassAcceptance):
        return acceptance.tokens_per_round(gamma)
    tokens = np.bincount(traffic.traffic_class, traffic.later_tokens, len(acceptance.parts))
    emitted = np.array([part.tokens_per_round(gamma) for part in acceptance.parts])
    return float(tokens.sum() / (tokens / emitted).sum()) if tokens.sum() else 1.0


def longest_due(tokens: Ints, traffic: Traffic, objectives: Sequence[SloConfig]) -> list[int]:
    """Return by class the longest length that must still meet the objective, tokens.

    Parameters
    ----------
    tokens
        Prompts or answers of the requests, shape (n,).
    traffic, objectives
        Of which class they are, and what each class is promised.
    """
    classes = [tokens[traffic.traffic_class == at] for at in range(len(objectives))]
    return [
        int(np.quantile(lengths, slo.share, method="lower")) if lengths.size else 0
        for lengths, slo in zip(classes, objectives, strict=True)
    ]
