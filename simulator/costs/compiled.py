"""Step costs compiled for the event loop.

A scenario prices millions of steps of a few thousand shapes. For each number of decoding requests,
the parts of a step depend on one count each and become curves over it: attention over the summed
context, the passes over prompts over their tokens, sampling over the number of prompts. All else is
priced exactly, once. Requests and prompts are dealt out to attention groups and micro-batches as in
`costs.step`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.costs.curves import Curve, Remembered, Window
from simulator.costs.forward import ForwardCost, total_s
from simulator.costs.sharing import Chunk, busiest_chunks, busiest_requests
from simulator.costs.step import StepModel

SHARED_VALUES, BATCH_VALUES = 8192, 256
"""Values that are remembered of a curve that all batches share, and of one of a single batch."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """The costs of steps with a given number of decoding requests, seconds.

    Parameters
    ----------
    tokens
        Query tokens of the busiest attention group.
    plain_s
        A step without prefill, its attention apart.
    attention_s
        Attention of the decoding requests, by summed context; that of draft steps, and what a
        round takes for look-ups and messages, included.
    experts_s
        Routed experts and the exchange around them, by prompt tokens that meet in them.
    passes_s
        Passes over prompts and what decodes beside them, attention, LM head and host work apart, by
        prompt tokens; where all of these meet in the experts.
    sampled_s
        LM head, sampling, host work and what a draft-and-verify round adds, by prompt chunks of the
        busiest attention group.
    windows
        Steps without prefill, by the first count of a segment of the summed context.
    active_experts
        Distinct experts in one MoE layer, by prompt tokens.
    """

    tokens: int
    plain_s: float
    attention_s: Curve
    experts_s: Curve
    passes_s: Remembered
    sampled_s: Remembered
    windows: dict[int, Window]
    active_experts: Remembered


class CompiledSteps:
    """The step costs of one replica at one draft length.

    Parameters
    ----------
    model
        The operator-by-operator model.
    gamma
        Depth of the draft; 0 for plain decoding.
    follows
        Whether the drafter reads the prompts also at draft length 0, to draft later on.
    """

    def __init__(self, model: StepModel, gamma: int, *, follows: bool = False) -> None:
        self.gamma = gamma
        self.query_tokens = model.drafting.query_tokens(gamma)
        """Most target tokens of a decoding request; a step is priced at their mean."""
        self.mean_query_tokens = model.drafting.mean_query_tokens(gamma)
        self._passes = Counter(model.drafting.tree.pass_tokens(gamma)).items()
        self._model = model
        self._prefill_launch_s = model.prefill_launch_s
        self._drafter = drafter = model.drafter if gamma or follows else None
        self._stages, self._groups = model.parallelism.pipeline, model.parallelism.data
        self._alone = self._stages == self._groups == 1
        self._batches: dict[int, _Batch] = {}
        self._dense_s = _shared(lambda tokens: total_s(model.target.dense(tokens)))
        self._prompt_s = _shared(self._price_prompt)
        # A drafter on GPUs of its own reads prompts beside the target.
        self._reader = reader = None if model.drafting.own_gpus else drafter
        self._draft_s = None if reader is None else _shared(self._price_draft_pass)
        self._draft_gathered_s: Curve | None = None
        if reader is not None and reader.gathers:
            self._draft_gathered_s = Curve(lambda tokens: self._price_experts(reader, 0, 1, tokens))

    def decode_window(self, requests: int, context_tokens: int) -> Window:
        """Time of a step without prefill, and of those that follow while the batch stays.

        Parameters
        ----------
        requests
            Requests that decode, >= 1.
        context_tokens
            Cache length summed over them, tokens.

        Returns
        -------
        Window
            The time by summed context, around the one asked about.
        """
        batch = self._batches.get(requests) or self._compile(requests)
        first, last = Curve.segment(context_tokens)
        window = batch.windows.get(first)
        if window is None:
            attention_s, slope_s = batch.attention_s.line(first)
            experts = batch.active_experts[0]
            window = Window(batch.plain_s + attention_s, slope_s, first, last, experts)
            batch.windows[first] = window
        return window

    def decode_s(self, requests: int, context_tokens: int) -> float:
        """Time of one step without prefill, seconds; arguments as in `decode_window`."""
        window = self.decode_window(requests, context_tokens)
        return window.base_s + window.slope_s * context_tokens

    def mixed_s(
        self, requests: int, context_tokens: int, chunks: Sequence[tuple[int, int]]
    ) -> float:
        """Time of a step with prefill, seconds.

        Parameters
        ----------
        requests, context_tokens
            As in `decode_window`; may be 0.
        chunks
            Prompt chunks ``(start, end)``, one per request that prefills.
        """
        batch = self._batches.get(requests) or self._compile(requests)
        share, met_tokens = (chunks, 0) if self._alone else self.deal(chunks)
        seconds = batch.attention_s.at(context_tokens) + batch.sampled_s[len(share)]
        prompt_s, prompt_tokens = self._prompt_s, 0
        for start, end in share:
            prompt_tokens += end - start
            if start:  # a chunk costs no less than a fresh prompt of its length
                seconds += max(prompt_s[end] - prompt_s[start], prompt_s[end - start])
            else:
                seconds += prompt_s[end]
        if self._alone:
            return seconds + batch.passes_s[prompt_tokens]
        return seconds + self._passes_s(batch.tokens, batch.experts_s, prompt_tokens, met_tokens)

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Distinct experts that a step activates in one MoE layer.

        Prompt tokens count as spread evenly over the micro-batches of a pipeline.
        """
        batch = self._batches.get(requests) or self._compile(requests)
        return batch.active_experts[-(-prompt_tokens // self._stages)]

    def _passes_s(
        self, tokens: int, experts_s: Curve, prompt_tokens: int, met_tokens: int
    ) -> float:
        """Time of the passes over prompts and what decodes beside them, see `_Batch.passes_s`.

        Parameters
        ----------
        tokens, experts_s
            Of the batch: query tokens of its busiest attention group, and its experts.
        prompt_tokens
            Prompt tokens of the busiest attention group.
        met_tokens
            Prompt tokens that meet in the experts.
        """
        seconds = self._prefill_launch_s + experts_s.at(met_tokens)
        seconds += self._dense_s[tokens + prompt_tokens]
        if self._draft_s is not None:
            seconds += self._draft_s[prompt_tokens]
        if self._draft_gathered_s is not None:
            seconds += self._draft_gathered_s.at(met_tokens)
        return seconds

    def deal(self, chunks: Sequence[Chunk]) -> tuple[Sequence[Chunk], int]:
        """Return the chunks of the busiest attention group, and the tokens that it meets."""
        micro_batch = busiest_chunks(chunks, self._stages)
        met_tokens = sum([end - start for start, end in micro_batch])
        return busiest_chunks(micro_batch, self._groups), met_tokens

    def share(self, requests: int) -> tuple[int, int]:
        """Return the requests of the busiest attention group, and those that it meets."""
        met = int(busiest_requests(requests, self._stages))
        return int(busiest_requests(met, self._groups)), met

    def _compile(self, requests: int) -> _Batch:
        """Set up the curves of a number of decoding requests."""
        target, query_tokens = self._model.target, self.mean_query_tokens
        share, met = self.share(requests)
        tokens = math.ceil(share * query_tokens)

        def active_experts(prompt: int) -> float:
            independent = self._model.law.independent_tokens(met, query_tokens, prompt)
            return target.active_experts(independent)

        experts_s = Curve(lambda prompt: self._price_experts(target, met, query_tokens, prompt))

        def passes_s(prompt: int) -> float:
            return self._passes_s(tokens, experts_s, prompt, prompt)

        round_s = self._price_round(requests)
        sequences = self._model.sequences(share, query_tokens)

        def sampled_s(chunks: int) -> float:
            logits = target.logits(tokens + chunks)
            return total_s(logits) + total_s(self._model.host(sequences + chunks)) + round_s

        plain_s = 0.0
        if requests:
            plain_s = total_s(target.dense(tokens)) + experts_s.at(0) + sampled_s(0)
        batch = self._batches[requests] = _Batch(
            tokens=tokens,
            plain_s=plain_s,
            attention_s=Curve(lambda context: self._price_attention(requests, context)),
            experts_s=experts_s,
            passes_s=Remembered(passes_s, BATCH_VALUES),
            sampled_s=Remembered(Curve(sampled_s).at, BATCH_VALUES),
            windows={},
            active_experts=Remembered(Curve(active_experts).at, BATCH_VALUES),
        )
        return batch

    def _price_attention(self, requests: int, context_tokens: int) -> float:
        """Price attention over a summed context, draft steps, look-ups and messages included."""
        if not requests:
            return 0.0
        mean_tokens = max(context_tokens / requests, 1.0)
        share, _ = self.share(requests)
        target = self._model.target_attention(share, self.mean_query_tokens, mean_tokens)
        seconds = total_s(target) + self._model.drafting.round_s(share, mean_tokens, self.gamma)
        if self._drafter is not None:
            for tokens, times in self._passes:
                draft = self._drafter.decode_attention(share, tokens, mean_tokens)
                seconds += times * total_s(draft)
        return seconds

    def _price_round(self, requests: int) -> float:
        """Price draft steps without their attention, and rejection."""
        seconds = total_s(self._model.rejection(requests, self.gamma))
        if requests and self._drafter is not None:
            share, _ = self.share(requests)
            for tokens, times in self._passes:
                attention = self._drafter.decode_attention(share, tokens, 1.0)
                step = self._model.draft_step(requests, 1.0, tokens)
                seconds += times * (total_s(step) - total_s(attention))
        return seconds

    def _price_experts(
        self, forward: ForwardCost, requests: int, query_tokens: float, prompt_tokens: int
    ) -> float:
        """Price the routed experts of a pass, and exchange and loads around them."""
        law = self._model.law
        independent = law.independent_tokens(requests, query_tokens, prompt_tokens)
        seconds = total_s(forward.experts(requests * query_tokens + prompt_tokens, independent))
        if forward is self._model.target:
            seconds += total_s(self._model.expert_transfers(requests, prompt_tokens, independent))
        return seconds

    def _price_draft_pass(self, tokens: int) -> float:
        """Price the drafter's pass over prompts, attention apart; experts that gather apart too."""
        reader = self._reader
        if reader is None:
            return 0.0
        seconds = total_s(reader.dense(tokens))
        return seconds if reader.gathers else seconds + self._price_experts(reader, 0, 1, tokens)

    def _price_prompt(self, tokens: int) -> float:
        """Price attention of a whole prompt, the drafter's included."""
        seconds = total_s(self._model.target.prefill_attention(0, tokens))
        if self._reader is not None:
            seconds += total_s(self._reader.prefill_attention(0, tokens))
        return seconds


def windows_by_length(costs: Sequence[CompiledSteps]) -> Callable[[int, int, int], Window]:
    """Return `CompiledSteps.decode_window` by draft length, requests and summed context.

    Parameters
    ----------
    costs
        Step costs by draft length, from 0 on.
    """

    def window(length: int, requests: int, context_tokens: int) -> Window:
        return costs[length].decode_window(requests, context_tokens)

    return window


def _shared(price: Callable[[int], float]) -> Remembered:
    """Return the values of a curve that all batches share."""
    return Remembered(Curve(price).at, SHARED_VALUES)
