"""Step costs compiled for the event loop.

A scenario prices millions of steps of a few thousand shapes. The pieces of a step depend on few
variables each, so they compile to small lazy tables: dense operators on tokens, experts on
(decoding requests, prompt tokens), attention on (decoding requests, mean context). Between nodes
the tables interpolate linearly; `tests/costs` bounds the error against the operator-by-operator
model.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from simulator.costs.forward import ForwardCost, total_s
from simulator.costs.step import StepModel, StepShape

CONTEXT_STEP_TOKENS = 128
"""Spacing of the attention tables in mean context, tokens."""

EXACT_TOKENS = 128
"""Up to here every integer is a node: decode batches are small and their costs have steps."""

_NODES = tuple(sorted({round(EXACT_TOKENS * 2 ** (index / 16)) for index in range(16 * 16 + 1)}))
"""Nodes above: sixteen to the octave, up to 8 Mi tokens."""


class Curve:
    """A function of a token count, evaluated lazily at nodes and linear between them.

    Parameters
    ----------
    function
        The function, of an integer >= 0.

    Examples
    --------
    >>> square = Curve(lambda n: float(n * n))
    >>> square(12), abs(square(1000) / 1000**2 - 1) < 1e-3
    (144.0, True)
    """

    __slots__ = ("_function", "_known")

    def __init__(self, function: Callable[[int], float]) -> None:
        self._function = function
        self._known: dict[int, float] = {}

    def __call__(self, tokens: int) -> float:
        """Return the value at ``tokens``."""
        if tokens < EXACT_TOKENS or tokens in self._known:
            return self._node(tokens)
        above = bisect_right(_NODES, tokens)
        low, high = _NODES[above - 1], _NODES[above]
        left = self._node(low)
        return left + (self._node(high) - left) * (tokens - low) / (high - low)

    def _node(self, tokens: int) -> float:
        value = self._known.get(tokens)
        if value is None:
            value = self._known[tokens] = self._function(tokens)
        return value


class _Prefill:
    """Prefill costs of one model: dense operators and attention over chunks."""

    def __init__(self, forward: ForwardCost) -> None:
        self._attention = Curve(
            lambda end: total_s(forward.prefill_attention(0, end)) if end else 0.0
        )

    def attention_s(self, chunks: Sequence[tuple[int, int]]) -> float:
        """Attention of the chunks, one call each."""
        attention = self._attention
        return sum(
            max(attention(end) - attention(start), attention(end - start)) for start, end in chunks
        )


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
        self._dense = Curve(lambda tokens: total_s(model.target.dense(tokens)))
        self._logits = Curve(lambda tokens: total_s(model.target.logits(tokens)))
        self._prefill = _Prefill(model.target)
        self._experts: dict[int, Curve] = {}
        self._decode: dict[int, tuple[float, float, dict[int, float]]] = {}
        drafter = model.drafter if gamma else None
        self._draft_tokens = Curve(self._draft_prefill_tokens_s) if drafter else None
        self._draft_prefill = _Prefill(drafter) if drafter else None

    def decode_s(self, requests: int, context_tokens: int) -> float:
        """Time of a step without prefill, seconds.

        Parameters
        ----------
        requests
            Requests that decode, >= 1.
        context_tokens
            Cache length summed over them, tokens.
        """
        entry = self._decode.get(requests)
        if entry is None:
            entry = self._decode[requests] = self._compile_decode(requests)
        base, _, nodes = entry
        position = context_tokens / (requests * CONTEXT_STEP_TOKENS)
        index = int(position)
        low = nodes.get(index)
        if low is None:
            low = nodes[index] = self._attention_s(requests, index)
        high = nodes.get(index + 1)
        if high is None:
            high = nodes[index + 1] = self._attention_s(requests, index + 1)
        return base + low + (high - low) * (position - index)

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
        prompt_tokens = sum(end - start for start, end in chunks)
        decode_tokens = requests * self.query_tokens
        seconds = self._experts_s(requests, prompt_tokens)
        seconds += self._dense(decode_tokens + prompt_tokens)
        seconds += self._logits(decode_tokens + len(chunks))
        seconds += total_s(self._model.host(requests + len(chunks)))
        seconds += self._prefill.attention_s(chunks)
        if self._draft_prefill is not None and self._draft_tokens is not None:
            seconds += self._draft_tokens(prompt_tokens) + self._draft_prefill.attention_s(chunks)
        if requests:
            seconds += self.decode_s(requests, context_tokens) - self._decode[requests][0]
            seconds += self._round_s(requests)
        return seconds

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Distinct experts that a step activates in one MoE layer."""
        if not prompt_tokens and requests in self._decode:
            return self._decode[requests][1]
        model = self._model
        tokens = model.law.independent_tokens(requests, self.query_tokens, prompt_tokens)
        return model.target.active_experts(tokens)

    def _compile_decode(self, requests: int) -> tuple[float, float, dict[int, float]]:
        """Return (all but attention, active experts, attention nodes) for a batch."""
        tokens = requests * self.query_tokens
        base = self._dense(tokens) + self._logits(tokens) + self._experts_s(requests, 0)
        base += total_s(self._model.host(requests)) + self._round_s(requests)
        active = self._model.target.active_experts(
            self._model.law.independent_tokens(requests, self.query_tokens, 0)
        )
        return base, active, {}

    def _attention_s(self, requests: int, index: int) -> float:
        """Attention of a batch, the draft steps' included, at one context node."""
        context_tokens = max(index * CONTEXT_STEP_TOKENS, 1)
        shape = StepShape(requests, self.query_tokens, context_tokens)
        seconds = total_s(self._model.decode_attention(self._model.target, shape))
        if self._model.drafter is not None and self.gamma:
            drafts = self._model.drafter.decode_attention(requests, 1, context_tokens)
            seconds += self.gamma * total_s(drafts)
        return seconds

    def _round_s(self, requests: int) -> float:
        """Draft steps without their attention, and rejection."""
        if not self.gamma:
            return 0.0
        seconds = total_s(self._model.rejection(requests, self.gamma))
        if self._model.drafter is not None:
            attention = self._model.drafter.decode_attention(requests, 1, 1)
            draft = total_s(self._model.draft_step(requests, 1)) - total_s(attention)
            seconds += self.gamma * draft
        return seconds

    def _experts_s(self, requests: int, prompt_tokens: int) -> float:
        curve = self._experts.get(requests)
        if curve is None:
            curve = self._experts[requests] = Curve(
                lambda prompt: self._exact_experts_s(requests, prompt)
            )
        return curve(prompt_tokens)

    def _exact_experts_s(self, requests: int, prompt_tokens: int) -> float:
        model, query_tokens = self._model, self.query_tokens
        independent = model.law.independent_tokens(requests, query_tokens, prompt_tokens)
        return total_s(model.target.experts(requests * query_tokens + prompt_tokens, independent))

    def _draft_prefill_tokens_s(self, tokens: int) -> float:
        drafter = self._model.drafter
        if drafter is None or not tokens:
            return 0.0
        independent = self._model.law.independent_tokens(0, 1, tokens)
        return total_s(drafter.dense(tokens)) + total_s(drafter.experts(tokens, independent))
