"""Draft-length policies: how many tokens to draft in the coming step.

A policy belongs to one replica. It is asked at every step that decodes, and sees what a server
sees: the batch, and how many drafted tokens were accepted. The draws that decide acceptance do not
depend on it: they are uncapped, and common to all policies and the baseline.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

from simulator.registry import Registry
from simulator.speculation.belief_policy import BeliefPolicy, read_table
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.estimate import AcceptanceEstimate
from simulator.speculation.telemetry import Telemetry

__all__ = ["POLICIES", "DraftPolicy", "Telemetry"]


class StepLine(Protocol):
    """Time of a step without prefill, as a line over the summed context (`costs.curves`)."""

    @property
    def base_s(self) -> float: ...
    @property
    def slope_s(self) -> float: ...
    @property
    def first_tokens(self) -> int: ...
    @property
    def last_tokens(self) -> int: ...


StepPrice = Callable[[int, int, int], StepLine]
"""Time of a step around a place, by draft length, requests and their summed context."""


class DraftPolicy(Protocol):
    """A policy is asked once per step that decodes."""

    def decide(self, telemetry: Telemetry) -> int:
        """Return the draft length of the coming step, from 0 to ``speculation.gamma``."""
        ...


FIXED = "fixed"
"""The kind that always drafts ``speculation.gamma`` tokens."""

POLICIES: Registry[Callable[[SpeculationConfig, StepPrice], DraftPolicy]] = Registry("draft policy")


class Fixed:
    """Always the same draft length.

    Parameters
    ----------
    gamma
        Draft length.
    """

    def __init__(self, gamma: int) -> None:
        self._gamma = gamma

    def decide(self, telemetry: Telemetry) -> int:
        """Return it."""
        return self._gamma


class BatchSchedule:
    """A draft length by batch size (vLLM's ``num_speculative_tokens_per_batch_size``).

    Parameters
    ----------
    schedule
        Rows ``(first batch, last batch, draft length)``, each beginning where the one before
        ends, from batch 1 on. Batches beyond the last row draft as it does.

    Examples
    --------
    >>> policy = BatchSchedule([(1, 8, 4), (9, 32, 2), (33, 256, 0)])
    >>> import numpy as np
    >>> nothing = np.empty(0, np.int64)
    >>> [policy.decide(Telemetry(batch, 0, 0, nothing)) for batch in (1, 8, 9, 33, 999)]
    [4, 4, 2, 0, 0]
    """

    def __init__(self, schedule: Sequence[Sequence[int]]) -> None:
        self._lasts = [last for _, last, _ in schedule[:-1]]
        self._gammas = [gamma for *_, gamma in schedule]

    def decide(self, telemetry: Telemetry) -> int:
        """Look the batch up."""
        return self._gammas[bisect_left(self._lasts, telemetry.requests)]


class Threshold:
    """Draft while enough is accepted, else not at all.

    Parameters
    ----------
    gamma
        Draft length while drafting.
    threshold
        Share of the drafted tokens that has to be accepted, as measured on the way.
    memory_rounds
        Rounds over which that is measured; so many without a draft, and it tries again.
    """

    def __init__(self, gamma: int, threshold: float, memory_rounds: float) -> None:
        self._gamma = gamma
        self._threshold = threshold
        self._estimate = AcceptanceEstimate(gamma, memory_rounds)

    def decide(self, telemetry: Telemetry) -> int:
        """Compare the measured share with the threshold."""
        self._estimate.observe(telemetry.gamma, telemetry.accepted)
        accepted = self._estimate.tokens_per_round(self._gamma) - 1.0
        return self._gamma if accepted >= self._threshold * self._gamma else 0


class CostModel:
    """The draft length with the most expected tokens per second: ``n E[tokens] / step time``.

    The step time is that of the coming batch and context, the tokens per round come from the
    acceptance measured on the way.

    Parameters
    ----------
    gamma
        Longest draft.
    price
        Time of a step.
    memory_rounds
        Rounds over which acceptance is measured.
    """

    def __init__(self, gamma: int, price: StepPrice, memory_rounds: float) -> None:
        self._gammas = range(gamma + 1)
        self._price = price
        self._estimate = AcceptanceEstimate(gamma, memory_rounds)
        # Lines hold until the batch changes or the context leaves them: then they are asked anew.
        self._requests, self._first, self._last = 0, 0, -1
        self._lines: list[tuple[float, float]] = []

    def decide(self, telemetry: Telemetry) -> int:
        """Price every draft length; the shortest of equals."""
        requests, context_tokens, gamma, accepted = telemetry[:4]
        self._estimate.observe(gamma, accepted)
        if requests != self._requests or not self._first <= context_tokens <= self._last:
            self._ask(requests, context_tokens)
        best, most = 0, 0.0
        emitted = self._estimate.tokens_by_gamma()
        for length, (base_s, slope_s) in enumerate(self._lines):
            rate = emitted[length] / (base_s + slope_s * context_tokens)
            if rate > most:
                best, most = length, rate
        return best

    def _ask(self, requests: int, context_tokens: int) -> None:
        """Look the lines up, and where all of them hold."""
        lines = [self._price(length, requests, context_tokens) for length in self._gammas]
        self._requests = requests
        self._first = max(line.first_tokens for line in lines)
        self._last = min(line.last_tokens for line in lines)
        self._lines = [(line.base_s, line.slope_s) for line in lines]


@POLICIES.register(FIXED)
def fixed(config: SpeculationConfig, price: StepPrice) -> Fixed:
    """Draft ``speculation.gamma`` tokens, always."""
    return Fixed(config.gamma)


@POLICIES.register("batch_schedule")
def batch_schedule(config: SpeculationConfig, price: StepPrice) -> BatchSchedule:
    """Draft as ``speculation.schedule`` says for the batch."""
    return BatchSchedule(config.schedule)


@POLICIES.register("threshold")
def threshold(config: SpeculationConfig, price: StepPrice) -> Threshold:
    """Draft while ``speculation.threshold`` of the drafted tokens are accepted."""
    return Threshold(config.gamma, config.threshold or 0.0, config.memory_rounds)


@POLICIES.register("cost_model")
def cost_model(config: SpeculationConfig, price: StepPrice) -> CostModel:
    """Draft as many tokens as yield most per second."""
    return CostModel(config.gamma, price, config.memory_rounds)


@POLICIES.register("belief_table")
def belief_table(config: SpeculationConfig, price: StepPrice) -> BeliefPolicy:
    """Draft as an exported table says for what is believed of the regime."""
    return BeliefPolicy(read_table(config))
