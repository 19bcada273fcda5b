"""Step costs compiled for the event loop.

A scenario prices millions of steps of a few thousand shapes. What does not depend on the caches is
priced exactly, once per number of decoding requests. The rest depends on one token count each and
becomes a `Curve`: decode attention over the summed context, and in steps with prefill the dense
operators, the experts and the prompt's own attention over their tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from simulator.costs.forward import total_s
from simulator.costs.step import StepModel

LEADING_BITS = 5
"""Binary digits of a token count that make a node of a `Curve`."""


class Curve:
    """A function of a token count, evaluated lazily at nodes and linear between them.

    Nodes are the integers whose binary digits after the first `LEADING_BITS` are zero: all below
    32, then sixteen to the octave. Powers of two and their eighths, where kernels are measured and
    change their tiles, are among them.

    Parameters
    ----------
    function
        The function, of an integer >= 0; evaluated once per node.

    Examples
    --------
    >>> square = Curve(lambda n: float(n * n))
    >>> square(24), square(1000) / 1000**2 - 1 < 1e-3
    (576.0, True)
    """

    __slots__ = ("_function", "_segments")

    def __init__(self, function: Callable[[int], float]) -> None:
        self._function = cache(function)
        self._segments: dict[int, tuple[float, float]] = {}

    def __call__(self, tokens: int) -> float:
        """Return the value at ``tokens``."""
        shift = tokens.bit_length() - LEADING_BITS
        low = tokens >> shift << shift if shift > 0 else tokens
        segment = self._segments.get(low)
        if segment is None:
            segment = self._segments[low] = self._segment(low, shift)
        return segment[0] + segment[1] * (tokens - low)

    def _segment(self, low: int, shift: int) -> tuple[float, float]:
        """Return the value at a node, and the slope to the next."""
        value = self._function(low)
        if shift <= 0:
            return value, 0.0
        width = 1 << shift
        return value, (self._function(low + width) - value) / width


@dataclass(frozen=True, slots=True)
class _Batch:
    """Costs with a given number of decoding requests, seconds.

    Parameters
    ----------
    decode_s
        A step without prefill, its attention apart.
    round_s
        The share of `decode_s` that speculation adds: draft steps and rejection.
    attention_s
        Attention, the draft steps' included, by summed context.
    experts_s
        Routed experts, by prompt tokens beside the decoding requests.
    active_experts
        Distinct experts of a step without prefill.
    """

    decode_s: float
    round_s: float
    attention_s: Curve
    experts_s: Curve
    active_experts: float


class CompiledSteps:
    """The step costs of one replica at one draft length.

    Parameters
    ----------
    model
        The operator-by-operator model.
    gamma
        Draft length; 0 for plain decoding.
    """

    def __init__(self, model: StepModel, gamma: int) -> None:
        self.gamma = gamma
        self.query_tokens = gamma + 1
        self._model = model
        self._drafter = model.drafter if gamma else None
        self._batches: dict[int, _Batch] = {}
        self._dense = Curve(lambda tokens: total_s(model.target.dense(tokens)))
        self._logits = Curve(lambda tokens: total_s(model.target.logits(tokens)))
        self._host = Curve(lambda requests: total_s(model.host(requests)))
        self._draft_tokens = Curve(self._draft_tokens_s)
        self._prompt = Curve(self._prompt_s)

    def decode_s(self, requests: int, context_tokens: int) -> float:
        """Time of a step without prefill, seconds.

        Parameters
        ----------
        requests
            Requests that decode, >= 1.
        context_tokens
            Cache length summed over them, tokens.
        """
        batch = self._batches.get(requests) or self._compile(requests)
        return batch.decode_s + batch.attention_s(context_tokens)

    def mixed_s(
        self, requests: int, context_tokens: int, chunks: Sequence[tuple[int, int]]
    ) -> float:
        """Time of a step with prefill, seconds.

        Parameters
        ----------
        requests, context_tokens
            As in `decode_s`; may be 0.
        chunks
            Prompt chunks ``(start, end)``, one per request that prefills.
        """
        batch = self._batches.get(requests) or self._compile(requests)
        seconds, prompt, prompt_tokens = 0.0, self._prompt, 0
        for start, end in chunks:
            prompt_tokens += end - start
            if start:
                seconds += max(prompt(end) - prompt(start), prompt(end - start))
            else:
                seconds += prompt(end)
        decode_tokens = requests * self.query_tokens
        seconds += batch.round_s + batch.attention_s(context_tokens)
        seconds += batch.experts_s(prompt_tokens)
        seconds += self._dense(decode_tokens + prompt_tokens)
        seconds += self._logits(decode_tokens + len(chunks))
        seconds += self._host(requests + len(chunks))
        if self._drafter is not None:
            seconds += self._draft_tokens(prompt_tokens)
        return seconds

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Distinct experts that a step activates in one MoE layer."""
        if not prompt_tokens:
            return (self._batches.get(requests) or self._compile(requests)).active_experts
        independent = self._independent_tokens(requests, prompt_tokens)
        return self._model.target.active_experts(independent)

    def _compile(self, requests: int) -> _Batch:
        """Price what steps with so many decoding requests have in common."""
        model, tokens = self._model, requests * self.query_tokens
        attention_s = Curve(lambda context: self._attention_s(requests, context))
        experts_s = Curve(lambda prompt: self._experts_s(requests, prompt))
        round_s = self._round_s(requests)
        decode_s = round_s
        if requests:
            decode_s += total_s(model.target.dense(tokens)) + total_s(model.target.logits(tokens))
            decode_s += total_s(model.host(requests)) + experts_s(0)
        active = model.target.active_experts(self._independent_tokens(requests, 0))
        batch = _Batch(decode_s, round_s, attention_s, experts_s, active)
        self._batches[requests] = batch
        return batch

    def _attention_s(self, requests: int, context_tokens: int) -> float:
        """Attention over a summed context, the draft steps' included."""
        if not requests:
            return 0.0
        mean_tokens = max(context_tokens / requests, 1.0)
        target = self._model.target.decode_attention(requests, self.query_tokens, mean_tokens)
        if self._drafter is None:
            return total_s(target)
        draft = self._drafter.decode_attention(requests, 1, mean_tokens)
        return total_s(target) + self.gamma * total_s(draft)

    def _round_s(self, requests: int) -> float:
        """Draft steps without their attention, and rejection."""
        seconds = total_s(self._model.rejection(requests, self.gamma))
        if requests and self._drafter is not None:
            attention = self._drafter.decode_attention(requests, 1, 1.0)
            step = self._model.draft_step(requests, 1.0)
            seconds += self.gamma * (total_s(step) - total_s(attention))
        return seconds

    def _experts_s(self, requests: int, prompt_tokens: int) -> float:
        tokens = requests * self.query_tokens + prompt_tokens
        independent = self._independent_tokens(requests, prompt_tokens)
        return total_s(self._model.target.experts(tokens, independent))

    def _independent_tokens(self, requests: int, prompt_tokens: int) -> float:
        return self._model.law.independent_tokens(requests, self.query_tokens, prompt_tokens)

    def _draft_tokens_s(self, tokens: int) -> float:
        """Price the drafter's pass over prompt tokens, attention apart."""
        drafter = self._drafter
        if drafter is None:
            return 0.0
        independent = self._model.law.independent_tokens(0, 1, tokens)
        return total_s(drafter.dense(tokens)) + total_s(drafter.experts(tokens, independent))

    def _prompt_s(self, tokens: int) -> float:
        """Price attention of a whole prompt, the drafter's included."""
        seconds = total_s(self._model.target.prefill_attention(0, tokens))
        if self._drafter is not None:
            seconds += total_s(self._drafter.prefill_attention(0, tokens))
        return seconds
