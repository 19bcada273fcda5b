"""How many distinct experts one layer of a step activates.

The cost of routed experts follows the number of distinct experts whose weights are read, so this
number is an input to the cost, and the law that supplies it is a choice:

- ``uniform`` (MoESD eq. 8): every token routes alone, ``N(t) = E (1 - (1 - K/E)^t)``.
- ``sampled`` and ``recorded``: what pooled routes touch that were drawn from the archetype of a
  model, or recorded on it (`simulator.experts.unions`).
- ``overlap``: tokens of one request, and requests among themselves, prefer the same experts,
  ``U = E (1 - (1 - K/E)^((sum_r m_r^g)^h))`` with m_r tokens of request r, 0 < g, h <= 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simulator.experts.config import RoutingConfig
from simulator.experts.routes import routes_of
from simulator.experts.unions import PoolUnions
from simulator.models.architecture import Architecture, Moe, experts_of
from simulator.registry import Registry


class RoutingLaw(Protocol):
    """What a routing law offers to the cost model."""

    def independent_tokens(
        self, decode_requests: float, query_tokens: float, prefill_tokens: float
    ) -> float:
        """Return how many independently routed tokens would touch as many experts as this step.

        Parameters
        ----------
        decode_requests
            Requests that decode or verify in the step.
        query_tokens
            Tokens of each of them: 1, or gamma + 1 in a verify step.
        prefill_tokens
            Prompt tokens in the step; they count as one further request.
        """
        ...


ROUTING_LAWS: Registry[Callable[[RoutingConfig, Architecture, int], RoutingLaw]] = Registry(
    "routing law"
)
"""By kind: from the settings, the model and the seed of the run to the law."""


def distinct_experts(experts: int, top_k: int, tokens: float) -> float:
    """Return the expected distinct experts that independently routed tokens touch (eq. 8).

    Parameters
    ----------
    experts, top_k
        Routed experts E of a layer and how many a token uses, K.
    tokens
        Tokens t; fractions are fine.

    Returns
    -------
    float
        ``E (1 - (1 - K/E)^t)``.

    Examples
    --------
    >>> round(distinct_experts(experts=64, top_k=8, tokens=16), 1)
    56.4
    """
    if top_k >= experts:
        return float(experts) if tokens > 0 else 0.0
    return -experts * math.expm1(tokens * math.log1p(-top_k / experts))


def tokens_touching(experts: int, top_k: int, active: float) -> float:
    """Return the independently routed tokens that touch so many experts: the inverse of eq. 8.

    Parameters
    ----------
    experts, top_k
        As in `distinct_experts`.
    active
        Distinct experts N. All E of them take infinitely many tokens; the finite number returned
        leaves a billionth of them untouched.

    Examples
    --------
    >>> round(tokens_touching(experts=64, top_k=8, active=56.4), 1)
    16.0
    """
    if top_k >= experts:
        return 1.0
    touched = min(active / experts, 1.0 - 1e-9)
    return math.log1p(-touched) / math.log1p(-top_k / experts)


@ROUTING_LAWS.register("uniform")
def uniform(config: RoutingConfig, arch: Architecture, seed: int) -> Overlap:
    """Every token routes independently and uniformly over the experts."""
    del config, arch, seed
    return Overlap()


@ROUTING_LAWS.register("overlap")
def overlap(config: RoutingConfig, arch: Architecture, seed: int) -> Overlap:
    """Tokens of one request, and requests among themselves, share experts."""
    del arch, seed
    return Overlap(config.within_request or 1.0, config.across_requests or 1.0, config.prompt)


@ROUTING_LAWS.register("sampled")
@ROUTING_LAWS.register("recorded")
def pooled(config: RoutingConfig, arch: Architecture, seed: int) -> Pooled:
    """Tokens share experts as they do on the routes of the law."""
    return Pooled(PoolUnions(routes_of(config, arch, seed)), experts_of(arch))


@dataclass(frozen=True, slots=True)
class Pooled:
    """The law of pooled routes.

    Parameters
    ----------
    unions
        Distinct experts of steps along the routes.
    moe
        Experts of the model.
    """

    unions: PoolUnions
    moe: Moe

    def independent_tokens(
        self, decode_requests: float, query_tokens: float, prefill_tokens: float
    ) -> float:
        """Return the independent tokens with as many distinct experts, at most those there are.

        Where next to all experts are active the count says little; the cap then rules.
        """
        active = self.unions.distinct(decode_requests, query_tokens, prefill_tokens)
        tokens = decode_requests * query_tokens + prefill_tokens
        return min(tokens_touching(self.moe.experts, self.moe.top_k, active), tokens)


@dataclass(frozen=True, slots=True)
class Overlap:
    """The overlap law; exponents of 1 make it the uniform law.

    Parameters
    ----------
    within_request
        Exponent g for tokens of one request. Measured: 0.65 Qwen3-30B-A3B, 0.73 GLM-5,
        0.92 DeepSeek-V4-Flash, 0.95 Qwen1.5-MoE.
    across_requests
        Exponent h over requests.
    prompt
        Exponent for prompt tokens; None is g. Tokens that are verified together follow each other,
        and drafts may repeat themselves; those of a prompt span a whole text.
    """

    within_request: float = 1.0
    across_requests: float = 1.0
    prompt: float | None = None

    def independent_tokens(
        self, decode_requests: float, query_tokens: float, prefill_tokens: float
    ) -> float:
        """Return ``(sum_r m_r^g)^h`` of the step.

        Examples
        --------
        >>> law = Overlap(within_request=0.65)
        >>> round(distinct_experts(128, 8, law.independent_tokens(1, 4, 0)), 1)  # measured: 18.9
        18.8
        """
        within = decode_requests * float(query_tokens) ** self.within_request
        prompt = self.within_request if self.prompt is None else self.prompt
        within += float(prefill_tokens) ** prompt if prefill_tokens else 0.0
        return float(within**self.across_requests)
