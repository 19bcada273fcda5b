"""The overlap law against sampled routing: distinct experts of a layer, model by model.

The law has one exponent per model, fitted to overlaps of neighbouring tokens; the archetypes of
``experts.sampling`` keep what the exponent drops, that a request prefers some experts for good. So
the two agree over the tokens of a verify step, and part over those of a long prompt, where the law
counts experts that the request hardly ever picks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import TableError, unknown
from simulator.experts.imbalance import slowest_rank_share
from simulator.experts.laws import Overlap, distinct_experts
from simulator.experts.overlaps import measured_overlap
from simulator.experts.sampling import (
    Archetype,
    Chosen,
    archetype_names,
    calibrated,
    copies_by_expert,
    copies_by_rank,
    measured_archetype,
    sample_routing,
)
from simulator.streams import Streams

STEPS = tuple((requests, tokens) for requests in (1, 4, 16) for tokens in (1, 2, 4, 5, 8))
"""Requests, and the tokens of each, that decode and verify steps have."""

PROMPTS = ((1, 64), (1, 512))
"""A chunk of one prompt, alone in its step."""

RANKS = 4
"""Expert-parallel ranks over which loads are compared."""

_SEED = 1
_SCORES, _LAYERS = 2**19, 16


@dataclass(frozen=True, slots=True)
class SampledStep:
    """What one step touches, sampled and by the law.

    Parameters
    ----------
    model
        Whose archetype it is.
    requests, tokens
        Requests of the step and tokens of each.
    sampled_experts, law_experts
        Distinct experts of a layer.
    sampled_share, law_share
        Token copies of the slowest of `RANKS` ranks over the mean.
    """

    model: str
    requests: int
    tokens: int
    sampled_experts: float
    law_experts: float
    sampled_share: float
    law_share: float

    @property
    def experts_error(self) -> float:
        """Relative error of the law's distinct experts."""
        return self.law_experts / self.sampled_experts - 1

    @property
    def share_error(self) -> float:
        """Relative error of the law's slowest rank."""
        return self.law_share / self.sampled_share - 1


def sampled_steps(model: str, steps: Sequence[tuple[int, int]] = STEPS) -> list[SampledStep]:
    """Compare the overlap law of a model with its archetype, calibrated to the measured overlap.

    Parameters
    ----------
    model
        Name in ``workloads/routing``.
    steps
        Requests, and tokens of each; all are taken from the same sampled tokens.

    Raises
    ------
    TableError
        If the model has no archetype or no measured exponent.
    """
    measured, exponent = measured_archetype(model), measured_overlap(model)
    if exponent is None:
        known = [name for name in archetype_names() if measured_overlap(name)]
        raise TableError(unknown("measured overlap", model, known))
    law = Overlap(within_request=exponent.value)
    archetype = calibrated(measured.archetype, measured.overlap, Streams(_SEED, replication=1))
    longest = max(tokens for _, tokens in steps)
    requests = max(_SCORES // (longest * archetype.experts), *(count for count, _ in steps))
    layers = [
        sample_routing(archetype, requests, longest, Streams(_SEED), layer)
        for layer in range(_LAYERS)
    ]
    return [_compare(model, archetype, law, layers, step) for step in steps]


def _compare(
    model: str,
    archetype: Archetype,
    law: Overlap,
    layers: Sequence[Chosen],
    step: tuple[int, int],
) -> SampledStep:
    requests, tokens = step
    experts, shares = [], []
    for chosen in layers:
        whole = len(chosen) // requests * requests
        picked = chosen[:whole, :tokens].reshape(-1, requests * tokens, archetype.top_k)
        copies = copies_by_expert(picked, archetype.experts)
        by_rank = copies_by_rank(copies, RANKS)
        experts.append((copies > 0).sum(axis=-1).mean())
        shares.append((by_rank.max(axis=-1) / by_rank.mean(axis=-1)).mean())
    independent = law.independent_tokens(requests, tokens, 0)
    return SampledStep(
        model=model,
        requests=requests,
        tokens=tokens,
        sampled_experts=float(np.mean(experts)),
        law_experts=distinct_experts(archetype.experts, archetype.top_k, independent),
        sampled_share=float(np.mean(shares)),
        law_share=slowest_rank_share(independent, archetype.top_k, archetype.experts, RANKS),
    )
