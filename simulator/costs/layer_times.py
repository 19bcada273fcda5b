"""What the GPUs of an attention group do between the exchanges of a step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.costs.compiled import SHARED_VALUES, CompiledSteps
from simulator.costs.curves import Curve, Remembered
from simulator.costs.forward import total_s
from simulator.costs.sharing import Chunk
from simulator.costs.step import StepModel


class LayerTimes:
    """Prices the layers of the target without routed experts and exchange, of a part of a batch.

    Sampling, drafting, rejection and host work, which happen once a step, are not in it. Prompt
    chunks are cut evenly: each part has as many of their tokens, and its share of their attention.

    Parameters
    ----------
    model
        The operator-by-operator model.
    compiled
        Deals out requests and prompts.
    """

    def __init__(self, model: StepModel, compiled: CompiledSteps) -> None:
        self._model, self._compiled = model, compiled
        dense = Curve(lambda tokens: total_s(model.target.dense(tokens)))
        prompt = Curve(lambda tokens: total_s(model.target.prefill_attention(0, tokens)))
        self._dense_s = Remembered(dense.at, SHARED_VALUES)
        self._prompt_s = Remembered(prompt.at, SHARED_VALUES)
        self._attention: dict[int, Curve] = {}

    def seconds(
        self, requests: int, context_tokens: int, chunks: Sequence[Chunk], parts: int = 1
    ) -> float:
        """Return the time of the largest of some equal parts, all layers together, s.

        Parameters
        ----------
        requests, context_tokens, chunks
            Of the whole step, as in `CompiledSteps.mixed_s`.
        parts
            Batches that it is cut into.
        """
        own, prompt_tokens, seconds = -(-requests // parts), 0, 0.0
        share = self._compiled.deal(chunks)[0] if chunks else ()
        for start, end in share:
            prompt_tokens += end - start
            fresh = self._prompt_s[end - start]
            attended = max(self._prompt_s[end] - self._prompt_s[start], fresh) if start else fresh
            seconds += attended / parts
        tokens = math.ceil(self._compiled.share(own)[0] * self._compiled.mean_query_tokens)
        seconds += self._dense_s[tokens + -(-prompt_tokens // parts)]
        if requests:
            seconds += self._curve(own).at(-(-context_tokens // parts))
        return seconds

    def _curve(self, requests: int) -> Curve:
        """Return the attention of requests over their summed context."""
        curve = self._attention.get(requests)
        if curve is None:
            share = self._compiled.share(requests)[0]
            query_tokens = self._compiled.mean_query_tokens

            def price(context: int) -> float:
                mean_tokens = max(context / requests, 1.0)
                return total_s(self._model.target_attention(share, query_tokens, mean_tokens))

            curve = self._attention[requests] = Curve(price)
        return curve
