"""The time of one engine step: a plain decode step, or a draft-and-verify round, prefill mixed in.

Terms of MoESD (eq. 2): a round takes ``gamma T_D + T_T(B, gamma + 1 tokens) + T_rej``. What the
engine and the sampler cost in a plain step belongs to T_T; what a round adds to that belongs to
T_rej.

A replica of several attention groups (``models.parallelism``) deals its requests and prompt chunks
out to them; the groups wait for each other in every MoE layer, so the busiest sets the time. Each
has host and sampler of its own. Left out: that requests of one group may have longer caches than
those of another, and that a group cannot lend KV cache to its neighbour.

A pipeline deals them out to as many micro-batches as it has stages, each some groups wide. A step
is one micro-batch on its way through all stages, the busiest; meanwhile the others follow it, so
all requests advance by one step. Left out: bubbles when micro-batches are unequal, and the extra
load of the last stage (LM head, sampling, drafting), which engines make up for by giving it fewer
layers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from simulator.costs.drafting import Drafting
from simulator.costs.engine import Engine
from simulator.costs.forward import ForwardCost, Parts, add_part, as_part, merge_parts, total_s
from simulator.costs.offload import ExpertTransfers
from simulator.costs.sharing import busiest_chunks, busiest_requests
from simulator.experts.laws import RoutingLaw
from simulator.models.parallelism import SINGLE_GPU, Parallelism


@dataclass(frozen=True, slots=True)
class StepShape:
    """What one engine step processes.

    Parameters
    ----------
    decode_requests
        Requests that decode or verify.
    query_tokens
        Target tokens of each of them: 1, or gamma + 1, or the nodes of a draft tree and one more;
        the mean where not every request has a draft.
    context_tokens
        Mean cache length of those requests, tokens.
    prefill
        Prompt chunks ``(start, end)``, one per request that prefills, tokens.
    """

    decode_requests: float
    query_tokens: float = 1
    context_tokens: float = 0.0
    prefill: tuple[tuple[int, int], ...] = ()

    @property
    def prefill_tokens(self) -> int:
        """Prompt tokens in the step."""
        return sum(end - start for start, end in self.prefill)

    @property
    def tokens(self) -> float:
        """Tokens that enter the target model."""
        return self.decode_requests * self.query_tokens + self.prefill_tokens

    @property
    def sampled_tokens(self) -> float:
        """Tokens whose logits are needed: all that decode, and one per prompt chunk."""
        return self.decode_requests * self.query_tokens + len(self.prefill)

    def busiest(self, sharers: int) -> StepShape:
        """Return the share of the busiest of several (`costs.sharing`)."""
        if sharers == 1:
            return self
        requests = busiest_requests(self.decode_requests, sharers)
        chunks = tuple(busiest_chunks(self.prefill, sharers))
        return replace(self, decode_requests=requests, prefill=chunks)


@dataclass(frozen=True, slots=True)
class StepCost:
    """Time of a step by part; `total_s` is their sum.

    Parameters
    ----------
    parts
        Times by part, with how each is known.
    active_experts
        Distinct experts that the step activates in one MoE layer; 0 for a dense model.
    """

    parts: Parts
    active_experts: float

    @property
    def total_s(self) -> float:
        """Time of the whole step, seconds."""
        return total_s(self.parts)

    def share_s(self, kind: str) -> float:
        """Seconds that are known in the given way (``measured``, ``fitted``, ``assumed``)."""
        return float(sum(getattr(time, f"{kind}_s") for time in self.parts.values()))


@dataclass(frozen=True, slots=True)
class StepModel:
    """Prices engine steps of one replica.

    Parameters
    ----------
    target
        The model being served.
    drafter
        The draft model or head; None for a drafter that costs no GPU time (n-gram).
    law
        How many distinct experts a step activates.
    engine
        Host overheads and sampling.
    vocab
        Rows of the LM head, for the sampler.
    parallelism
        How the replica is spread over GPUs; `target` and `drafter` are those of one of them.
    layers
        Layers of the target, for the host time of steps with prefill.
    drafting
        The shape of drafts and what they cost beside the passes of the models.
    offload
        What the target's experts cost that lie in host memory; None: all are on the GPUs.
    """

    target: ForwardCost
    drafter: ForwardCost | None
    law: RoutingLaw
    engine: Engine
    vocab: int
    parallelism: Parallelism = SINGLE_GPU
    layers: int = 0
    drafting: Drafting = field(default_factory=Drafting)
    offload: ExpertTransfers | None = None

    @property
    def prefill_launch_s(self) -> float:
        """What a step with prefill adds: its kernels are launched one by one, not as a graph."""
        return self.layers * self.engine.prefill_layer_s

    def group_share(self, shape: StepShape) -> StepShape:
        """Return what the busiest attention group has of a step at a time."""
        return shape.busiest(self.parallelism.pipeline).busiest(self.parallelism.data)

    def expert_share(self, forward: ForwardCost, shape: StepShape) -> StepShape:
        """Return what meets in the experts of target or drafter: the groups together, or one."""
        if forward.gathers:
            return shape.busiest(self.parallelism.pipeline)
        return self.group_share(shape)

    def target_step(self, shape: StepShape) -> StepCost:
        """Price T_T: the target's forward pass, sampling, and the engine's plain host work."""
        share, met = self.group_share(shape), self.expert_share(self.target, shape)
        independent = self.independent_tokens(met)
        parts = merge_parts(
            self.target.dense(share.tokens),
            self.target.logits(share.sampled_tokens),
            self.target.experts(met.tokens, independent),
            self.expert_transfers(met.decode_requests, met.prefill_tokens, independent),
            self.target_attention(share.decode_requests, share.query_tokens, share.context_tokens),
            *(self.target.prefill_attention(start, end) for start, end in share.prefill),
            self.host(
                self.sequences(share.decode_requests, share.query_tokens) + len(share.prefill)
            ),
        )
        return StepCost(parts, self.target.active_experts(independent))

    def draft_step(self, requests: float, context_tokens: float, tokens: int = 1) -> Parts:
        """Price T_D: one draft step, of one token per request or of a level of a tree."""
        return as_part("draft", self.draft_parts(requests, context_tokens, tokens))

    def draft_parts(self, requests: float, context_tokens: float, tokens: int = 1) -> Parts:
        """Price one draft step part by part; empty for a drafter that takes no GPU time.

        Parameters
        ----------
        requests, context_tokens
            As in `StepShape`.
        tokens
            Tokens of each request that the drafter reads.
        """
        if self.drafter is None or not requests:
            return {}
        shape = StepShape(requests, tokens, context_tokens)
        share, met = self.group_share(shape), self.expert_share(self.drafter, shape)
        parts = merge_parts(
            self.drafter.dense(share.tokens),
            self.drafter.logits(share.tokens),
            self.drafter.experts(met.tokens, self.independent_tokens(met)),
            self.drafter.decode_attention(share.decode_requests, tokens, context_tokens),
        )
        sampling = self.engine.sampling_s(share.tokens, self.vocab, self.target.tables.gpu)
        add_part(parts, "sampling", sampling, "assumed")
        host = self.engine.draft_step_s + share.decode_requests * self.engine.draft_request_s
        add_part(parts, "engine", host, "assumed")
        return parts

    def drafts(self, requests: float, context_tokens: float, gamma: int) -> Parts:
        """Price the drafting of a round: its passes, look-ups and messages."""
        passes = [
            self.draft_step(requests, context_tokens, tokens)
            for tokens, times in Counter(self.drafting.tree.pass_tokens(gamma)).items()
            for _ in range(times)
        ]
        parts = merge_parts(*passes)
        share = self.group_share(StepShape(requests)).decode_requests
        seconds = self.drafting.round_s(share, context_tokens, gamma)
        if seconds:
            add_part(parts, "draft", seconds, "assumed")
        return parts

    def draft_prefill(self, shape: StepShape) -> Parts:
        """Price the drafter's own pass over the prompt chunks of a step.

        Nothing where it has GPUs of its own (`costs.drafting.Drafting`).
        """
        if self.drafter is None or not shape.prefill or self.drafting.own_gpus:
            return {}
        prompts = StepShape(0, prefill=shape.prefill)
        share, met = self.group_share(prompts), self.expert_share(self.drafter, prompts)
        forward = merge_parts(
            self.drafter.dense(share.tokens),
            self.drafter.experts(met.tokens, self.independent_tokens(met)),
            *(self.drafter.prefill_attention(start, end) for start, end in share.prefill),
        )
        return as_part("draft", forward)

    def rejection(self, requests: float, gamma: int) -> Parts:
        """Price T_rej: comparing the drafted tokens, and the host work a round adds.

        Of a draft of depth gamma all nodes are compared; a request without a draft has none.
        """
        parts: Parts = {}
        if requests and gamma:
            engine = self.engine
            requests = self.group_share(StepShape(requests)).decode_requests
            compared = requests * (self.drafting.mean_query_tokens(gamma) - 1)
            seconds = engine.sampling_s(compared, self.vocab, self.target.tables.gpu)
            seconds += engine.verify_step_s - engine.plain_step_s
            seconds += requests * (engine.verify_request_s - engine.plain_request_s)
            add_part(parts, "rejection", seconds, "assumed")
        return parts

    def step(self, shape: StepShape, gamma: int) -> StepCost:
        """Price a whole engine step with draft length gamma (0: a plain step)."""
        target = self.target_step(shape)
        parts = merge_parts(
            target.parts,
            self.drafts(shape.decode_requests, shape.context_tokens, gamma),
            self.draft_prefill(shape) if gamma else {},
            self.rejection(shape.decode_requests, gamma),
        )
        if shape.prefill:
            add_part(parts, "engine", self.prefill_launch_s, "fitted")
        return StepCost(parts, target.active_experts)

    def verify_shape(self, requests: float, gamma: int, context_tokens: float) -> StepShape:
        """Return the target step that verifies drafts of depth gamma."""
        return StepShape(requests, self.drafting.mean_query_tokens(gamma), context_tokens)

    def target_efficiency(self, requests: float, gamma: int, context_tokens: float) -> float:
        """Return ``T_T(B, 1) / T_T(B, gamma + 1 tokens)``, engine overhead included."""
        plain = self.target_step(StepShape(requests, 1, context_tokens))
        verify = self.target_step(self.verify_shape(requests, gamma, context_tokens))
        return plain.total_s / verify.total_s

    def independent_tokens(self, shape: StepShape) -> float:
        """Tokens that meet in the experts (`expert_share`) as the routing law counts them."""
        return self.law.independent_tokens(
            shape.decode_requests, shape.query_tokens, shape.prefill_tokens
        )

    def expert_transfers(
        self, requests: float, prompt_tokens: float, independent_tokens: float
    ) -> Parts:
        """Price what the target's layers wait for experts in host memory; nothing without any.

        Parameters
        ----------
        requests, prompt_tokens
            What meets in the experts; prompt tokens count as those of one further request.
        independent_tokens
            As in `ForwardCost.experts`.
        """
        if self.offload is None:
            return {}
        tokens_of = requests + (1 if prompt_tokens else 0)
        return self.offload.expected(tokens_of, self.target.active_experts(independent_tokens))

    def sequences(self, requests: float, query_tokens: float) -> float:
        """Sequences that a target step has of so many decoding requests.

        One per request; one per query token with batch expansion (`Engine.batch_expansion`).
        """
        return requests * query_tokens if self.engine.batch_expansion else requests

    def target_attention(
        self, requests: float, query_tokens: float, context_tokens: float
    ) -> Parts:
        """Price the target's attention of the requests that decode; nothing if there are none.

        The cache of a request is read once per step, or, with batch expansion, once per query
        token.

        Parameters
        ----------
        requests, query_tokens, context_tokens
            As in `StepShape`, of one attention group.
        """
        if not requests:
            return {}
        if self.engine.batch_expansion:
            requests, query_tokens = requests * query_tokens, 1
        return self.target.decode_attention(requests, query_tokens, context_tokens)

    def host(self, sequences: float) -> Parts:
        """Price sampling of a token per sequence of a group, and the host work of a target step."""
        parts: Parts = {}
        seconds = self.engine.sampling_s(sequences, self.vocab, self.target.tables.gpu)
        add_part(parts, "sampling", seconds, "assumed")
        overhead = self.engine.plain_step_s + sequences * self.engine.plain_request_s
        add_part(parts, "engine", overhead, "fitted")
        return parts
