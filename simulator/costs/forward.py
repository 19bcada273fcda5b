"""The time of one forward pass, operator by operator.

A pass is split by what its time depends on, so that each piece can be compiled on its own: dense
operators on the number of tokens, experts on tokens and distinct active experts, attention on the
caches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from simulator.costs.engine import Engine
from simulator.experts.laws import distinct_experts
from simulator.kernels.tables import ExpertShape, KernelTables, Timing
from simulator.models.operators import (
    AllReduce,
    Elementwise,
    Experts,
    Gemm,
    GroupedQueryAttention,
    LatentAttention,
    Operator,
)

KINDS = ("measured", "fitted", "assumed")
"""How a time is known, best first: a kernel table, a fit to one, a judgement."""


class PartTime(NamedTuple):
    """Time of one part of a step, split by how it is known, seconds."""

    measured_s: float = 0.0
    fitted_s: float = 0.0
    assumed_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Time of the part."""
        return sum(self)

    @property
    def kind(self) -> str:
        """How its least well-known share is known."""
        if self.assumed_s:
            return "assumed"
        return "fitted" if self.fitted_s else "measured"


Parts = dict[str, PartTime]
"""Times by part of the step."""

Op = TypeVar("Op")


def add_part(parts: Parts, part: str, seconds: float, kind: str) -> None:
    """Add seconds of a kind to a part."""
    before = parts.get(part, PartTime())
    key = f"{kind}_s"
    parts[part] = before._replace(**{key: getattr(before, key) + seconds})


def merge_parts(*several: Parts) -> Parts:
    """Add up parts of the same name."""
    total: Parts = {}
    for parts in several:
        for part, time in parts.items():
            total[part] = _sum((total.get(part, PartTime()), time))
    return total


def as_part(part: str, parts: Parts) -> Parts:
    """Lump all parts into one of the given name."""
    return {part: _sum(parts.values())} if parts else {}


def _sum(times: Iterable[PartTime]) -> PartTime:
    return PartTime(*(sum(column) for column in zip(*times, strict=True)))


def total_s(parts: Parts) -> float:
    """Sum the parts, seconds."""
    return sum(timing.seconds for timing in parts.values())


@dataclass(frozen=True, slots=True)
class ForwardCost:
    """Prices the operators of one model on one GPU of its group.

    Parameters
    ----------
    operators
        Operators of one pass (``models.forward``).
    tables
        Measured kernels of the GPU.
    engine
        For launches and elementwise kernels.
    """

    operators: tuple[Operator, ...]
    tables: KernelTables
    engine: Engine

    def dense(self, tokens: float) -> Parts:
        """Price the operators that depend on the number of tokens alone, the LM head apart."""
        parts: Parts = {}
        for op in self.operators:
            if isinstance(op, Gemm) and not op.sampled_only:
                self._add(parts, op, self.tables.gemm(tokens, op.n, op.k, op.dtype))
            elif isinstance(op, AllReduce):
                message_bytes = 2.0 * tokens * op.elements_per_token
                self._add(parts, op, self.tables.all_reduce(message_bytes, op.gpus))
            elif isinstance(op, Elementwise):
                moved_bytes = tokens * op.bytes_per_token
                seconds = self.engine.elementwise_s(moved_bytes, op.kernels, self.tables.gpu)
                self._add(parts, op, Timing(seconds, "assumed"))
        return parts

    def logits(self, sampled_tokens: float) -> Parts:
        """Price the LM head, which runs on the tokens whose logits are needed."""
        parts: Parts = {}
        for op in self._each(Gemm):
            if op.sampled_only and sampled_tokens:
                self._add(parts, op, self.tables.gemm(sampled_tokens, op.n, op.k, op.dtype))
        return parts

    def experts(self, tokens: float, independent_tokens: float) -> Parts:
        """Price the routed experts.

        Parameters
        ----------
        tokens
            Tokens in the pass; they set the computation.
        independent_tokens
            Independently routed tokens that touch as many experts (``experts.laws``); they set the
            weights that are read.
        """
        parts: Parts = {}
        for op in self._each(Experts):
            shape = ExpertShape(
                op.experts, op.top_k, op.hidden, op.inter, op.tensor_parallel, op.gated
            )
            active = distinct_experts(op.experts, op.top_k, independent_tokens)
            self._add(parts, op, self.tables.experts(tokens, active, shape, op.dtype))
        return parts

    def decode_attention(self, requests: float, query_tokens: int, context_tokens: float) -> Parts:
        """Price attention of short queries over long caches: the KV cache is read once per request.

        Parameters
        ----------
        requests
            Requests that decode or verify.
        query_tokens
            Tokens of each: 1, or gamma + 1.
        context_tokens
            Mean cache length, tokens.
        """
        parts: Parts = {}
        for op in self._each(GroupedQueryAttention):
            timing = self.tables.decode_attention(
                requests,
                context_tokens,
                query_tokens,
                op.heads,
                op.kv_heads,
                op.head_dim,
                op.window,
            )
            self._add(parts, op, timing)
        for latent in self._each(LatentAttention):
            timing = self.tables.latent_decode_attention(
                requests, context_tokens, query_tokens, latent.heads
            )
            self._add(parts, latent, timing)
        return parts

    def prefill_attention(self, start_tokens: float, end_tokens: float) -> Parts:
        """Price causal attention of the prompt chunk ``[start, end)`` of one request."""
        parts: Parts = {}
        for op in self._each(GroupedQueryAttention):
            timing = self.tables.prefill_attention(
                start_tokens, end_tokens, op.heads, op.kv_heads, op.head_dim, op.window
            )
            self._add(parts, op, timing)
        for latent in self._each(LatentAttention):
            timing = self.tables.latent_prefill_attention(start_tokens, end_tokens, latent.heads)
            self._add(parts, latent, timing)
        return parts

    def active_experts(self, independent_tokens: float) -> float:
        """Distinct experts that a step activates in one MoE layer, 0 for a dense model."""
        for op in self._each(Experts):
            return distinct_experts(op.experts, op.top_k, independent_tokens)
        return 0.0

    def _each(self, kind: type[Op]) -> Iterable[Op]:
        return (op for op in self.operators if isinstance(op, kind))

    @staticmethod
    def _add(parts: Parts, op: Operator, timing: Timing) -> None:
        add_part(parts, op.part, op.calls * timing.seconds, timing.kind)
