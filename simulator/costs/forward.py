"""The time of one forward pass, operator by operator.

A pass is split by what its time depends on, so that each piece can be compiled on its own: dense
operators on the number of tokens, experts and the exchange around them on tokens and distinct
active experts, attention on the caches. Experts and their exchange concern the tokens of all
attention groups of a replica (``models.parallelism``), everything else those of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from simulator.costs.engine import Engine
from simulator.costs.exchange import exchange_time
from simulator.costs.work import Load, operator_work, prompt_work
from simulator.experts.imbalance import slowest_rank_experts, slowest_rank_share
from simulator.experts.laws import distinct_experts
from simulator.hardware.topology import Topology
from simulator.kernels.tables import ExpertShape, KernelTables, LinearShape, SparseShape, Timing
from simulator.kernels.timing import weaker
from simulator.models.operators import (
    AllGather,
    AllReduce,
    Combine,
    Dispatch,
    Elementwise,
    Experts,
    Gemm,
    GroupedQueryAttention,
    LatentAttention,
    LinearAttention,
    Operator,
    ReduceScatter,
    Send,
    SparseLatentAttention,
    launches,
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


_NOTHING = PartTime()

Parts = dict[str, PartTime]
"""Times by part of the step."""

Op = TypeVar("Op")


def add_part(parts: Parts, part: str, seconds: float, kind: str) -> None:
    """Add seconds of a kind to a part."""
    measured_s, fitted_s, assumed_s = parts.get(part, _NOTHING)
    if kind == "measured":
        measured_s += seconds
    elif kind == "fitted":
        fitted_s += seconds
    else:
        assumed_s += seconds
    parts[part] = PartTime(measured_s, fitted_s, assumed_s)


def merge_parts(*several: Parts) -> Parts:
    """Add up parts of the same name."""
    total: Parts = {}
    for parts in several:
        for part, time in parts.items():
            total[part] = _sum((total[part], time)) if part in total else time
    return total


def as_part(part: str, parts: Parts) -> Parts:
    """Lump all parts into one of the given name."""
    return {part: _sum(parts.values())} if parts else {}


def _sum(times: Iterable[PartTime]) -> PartTime:
    return PartTime(*(sum(column) for column in zip(*times, strict=True)))


def total_s(parts: Parts) -> float:
    """Sum the parts, seconds."""
    return sum([sum(timing) for timing in parts.values()])


def _sparse_shape(op: SparseLatentAttention) -> SparseShape:
    return SparseShape(
        heads=op.heads,
        nope_dim=op.nope_dim,
        value_dim=op.value_dim,
        index_heads=op.index_heads,
        index_dim=op.index_dim,
        top_k=op.top_k,
        latent_dim=op.latent_dim,
        rope_dim=op.rope_dim,
    )


def _linear_shape(op: LinearAttention) -> LinearShape:
    return LinearShape(op.key_heads, op.value_heads, op.key_dim, op.value_dim, op.conv_width)


@dataclass(frozen=True, slots=True)
class ForwardCost:
    """Prices the operators of one model on the GPU that the others wait for.

    Parameters
    ----------
    operators
        Operators of one pass (``models.forward``).
    tables
        Measured kernels of the GPU.
    engine
        For launches and elementwise kernels, and the speed that kernels reach.
    topology
        Where the replica lies; None for one node.
    """

    operators: tuple[Operator, ...]
    tables: KernelTables
    engine: Engine
    topology: Topology | None = None
    _by_kind: dict[type, tuple[Any, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def dense(self, tokens: float) -> Parts:
        """Price what depends on the tokens of an attention group alone, the LM head apart.

        Handing over to the next stage of a pipeline is priced as an all-gather over two GPUs of
        one node: each gets as many bytes as the other holds.
        """
        parts: Parts = {}
        for op in self.operators:
            if isinstance(op, Gemm) and not op.sampled_only:
                timing = self.tables.gemm(tokens, op.n, op.k, op.dtype)
                self._add(parts, op, timing, Load(tokens))
            elif isinstance(op, AllReduce):
                message_bytes = 2.0 * tokens * op.elements_per_token
                timing = self.tables.all_reduce(message_bytes, op.gpus, self.topology)
                self._add(parts, op, timing)
            elif isinstance(op, Send):
                message_bytes = 2.0 * tokens * op.bytes_per_token
                self._add(parts, op, self.tables.all_gather(message_bytes, 2))
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
                timing = self.tables.gemm(sampled_tokens, op.n, op.k, op.dtype)
                self._add(parts, op, timing, Load(sampled_tokens))
        return parts

    def experts(self, tokens: float, independent_tokens: float) -> Parts:
        """Price the routed experts and, between attention groups, dispatch and combine.

        Experts that are spread over GPUs wait for the busiest of these, under routing as even as
        chance allows (``experts.imbalance``): the most distinct experts and the most tokens of any
        GPU, as if one GPU had both. Replicas are taken to even out what is popular: a token picks
        distinct slots of experts and replicas, all alike. DeepEP's exchange waits for the GPU that
        gets most copies, as if all got as many.

        Parameters
        ----------
        tokens
            Tokens in the pass, of all attention groups; they set the computation.
        independent_tokens
            Independently routed tokens that touch as many experts (``experts.laws``); they set the
            weights that are read.
        """
        parts: Parts = {}
        busiest_tokens = tokens
        for op in self._each(Experts):
            active = distinct_experts(op.slots, op.top_k, independent_tokens)
            if op.expert_parallel > 1:
                spread = op.top_k, op.slots, op.expert_parallel
                busiest_tokens *= slowest_rank_share(independent_tokens, *spread)
                active = slowest_rank_experts(independent_tokens, *spread)
            self._add_experts(parts, op, busiest_tokens, active)
        return merge_parts(parts, self.exchange_around(tokens, busiest_tokens))

    def exchange_around(self, tokens: float, busiest_tokens: float) -> Parts:
        """Price what brings tokens to the routed experts, ``dispatch``, and back, ``combine``.

        Parameters
        ----------
        tokens
            Tokens in the pass, of all attention groups.
        busiest_tokens
            Tokens were all GPUs as loaded as the one that gets most copies.
        """
        parts, tables, topology = Parts(), self.tables, self.topology
        for gather in self._each(AllGather):
            message_bytes = tokens * gather.bytes_per_token
            self._add(parts, gather, tables.all_gather(message_bytes, gather.gpus, topology))
        for scatter in self._each(ReduceScatter):
            message_bytes = tokens * scatter.bytes_per_token
            timing = tables.reduce_scatter(message_bytes, scatter.gpus, topology)
            self._add(parts, scatter, timing)
        exchanges: tuple[Dispatch | Combine, ...] = (*self._each(Dispatch), *self._each(Combine))
        for exchange in exchanges:
            timing = exchange_time(exchange, busiest_tokens / exchange.gpus, tables, topology)
            self._add(parts, exchange, timing)
        return parts

    def rank_experts(self, tokens: float, active_experts: float) -> Parts:
        """Price the routed experts of one rank, whose load is known, in all layers.

        Parameters
        ----------
        tokens
            Tokens in the pass were all ranks as loaded as this one: its copies times ranks over K.
        active_experts
            Distinct experts that it reads in a layer, > 0.
        """
        parts: Parts = {}
        for op in self._each(Experts):
            self._add_experts(parts, op, tokens, active_experts)
        return parts

    def _add_experts(self, parts: Parts, op: Experts, tokens: float, active: float) -> None:
        """Add the experts of a rank with so many active, as if all ranks were loaded like it."""
        shape = ExpertShape(
            experts=op.slots,
            top_k=op.top_k,
            hidden=op.hidden,
            inter=op.inter,
            tensor_parallel=op.tensor_parallel,
            gated=op.gated,
            expert_parallel=op.expert_parallel,
        )
        timing = self.tables.experts(tokens, active, shape, op.dtype, masked=op.masked)
        load = Load(tokens, active_experts=active * op.expert_parallel)
        self._add(parts, op, timing, load)

    def decode_attention(
        self, requests: float, query_tokens: float, context_tokens: float
    ) -> Parts:
        """Price attention of short queries over long caches: the KV cache is read once per request.

        Linear attention reads the state of a request instead, whatever its context.

        Parameters
        ----------
        requests
            Requests of the attention group that decode or verify.
        query_tokens
            Tokens of each: 1, or gamma + 1.
        context_tokens
            Mean cache length, tokens.
        """
        parts: Parts = {}
        load = Load(requests * query_tokens, requests, context_tokens)
        for op in self._each(GroupedQueryAttention):
            timing = self.tables.decode_attention(
                requests,
                context_tokens,
                query_tokens,
                op.heads,
                op.kv_heads,
                op.head_dim,
                op.window,
                kv_dtype=op.kv_dtype,
            )
            self._add(parts, op, timing, load)
        for latent in self._each(LatentAttention):
            timing = self.tables.latent_decode_attention(
                requests, context_tokens, query_tokens, latent.heads, kv_dtype=latent.kv_dtype
            )
            self._add(parts, latent, timing, load)
        for sparse in self._each(SparseLatentAttention):
            timing = self.tables.sparse_decode_attention(
                requests, context_tokens, query_tokens, _sparse_shape(sparse), sparse.kv_dtype
            )
            self._add(parts, sparse, timing, load)
        for linear in self._each(LinearAttention):
            timing = self.tables.linear_decode_attention(
                requests, query_tokens, _linear_shape(linear)
            )
            self._add(parts, linear, timing, load)
        return parts

    def prefill_attention(self, start_tokens: float, end_tokens: float) -> Parts:
        """Price causal attention of the prompt chunk ``[start, end)`` of one request."""
        parts: Parts = {}
        chunk = (start_tokens, end_tokens)
        for op in self._each(GroupedQueryAttention):
            timing = self.tables.prefill_attention(
                start_tokens,
                end_tokens,
                op.heads,
                op.kv_heads,
                op.head_dim,
                op.window,
                kv_dtype=op.kv_dtype,
            )
            self._add(parts, op, timing, chunk)
        for latent in self._each(LatentAttention):
            timing = self.tables.latent_prefill_attention(
                start_tokens, end_tokens, latent.heads, kv_dtype=latent.kv_dtype
            )
            self._add(parts, latent, timing, chunk)
        for sparse in self._each(SparseLatentAttention):
            timing = self.tables.sparse_prefill_attention(
                start_tokens, end_tokens, _sparse_shape(sparse), sparse.kv_dtype
            )
            self._add(parts, sparse, timing, chunk)
        for linear in self._each(LinearAttention):
            timing = self.tables.linear_prefill_attention(
                end_tokens - start_tokens, _linear_shape(linear)
            )
            self._add(parts, linear, timing, chunk)
        return parts

    @property
    def gathers(self) -> bool:
        """Whether the tokens of all attention groups meet in the experts."""
        return any((*self._each(AllGather), *self._each(Dispatch)))

    def active_experts(self, independent_tokens: float) -> float:
        """Distinct experts that a step activates in one MoE layer, 0 for a dense model."""
        for op in self._each(Experts):
            return distinct_experts(op.experts, op.top_k, independent_tokens)
        return 0.0

    def _each(self, kind: type[Op]) -> Iterable[Op]:
        """Return the operators of a kind; a step's price asks for each again and again."""
        found = self._by_kind.get(kind)
        if found is None:
            found = tuple(op for op in self.operators if isinstance(op, kind))
            self._by_kind[kind] = found
        return found

    def _add(
        self,
        parts: Parts,
        op: Operator,
        timing: Timing,
        load: Load | tuple[float, float] | None = None,
    ) -> None:
        """Add all calls of an operator, at the speed that the engine reaches here.

        ``load`` is what the operator deals with, or a prompt chunk ``(start, end)`` of attention;
        None for collectives and elementwise kernels, which have no FLOPs to speak of.
        """
        seconds, kind, engine = op.calls * timing.seconds, timing.kind, self.engine
        if load is not None and not engine.at_table_speed:
            seconds, kind = seconds * self._slowdown(op, load), weaker(kind, "fitted")
        if engine.operator_launch_s:
            seconds += op.calls * launches(op) * engine.operator_launch_s
        add_part(parts, op.part, seconds, kind)

    def _slowdown(self, op: Operator, load: Load | tuple[float, float]) -> float:
        """Return `Engine.slowdown` of an operator; attention whose work is not counted reads."""
        gpu = self.tables.gpu
        if isinstance(load, Load):
            done = operator_work(op, load, gpu)
        else:
            done = prompt_work(op, *load, gpu)
        if done is None:
            return 1.0 / self.engine.bandwidth_fraction
        return self.engine.slowdown(done.memory_s, done.compute_s)
