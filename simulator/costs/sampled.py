"""Step costs with loads drawn for every MoE layer: the slowest rank of each rules.

Everything outside the routed experts and the exchange around them is priced as in
`costs.compiled`. The experts of a layer take as long as on their slowest rank, and the step waits
for every layer: ``sum over layers of (max over ranks of T(copies, active) + exchange)``. The
drafter's own experts, if it has any, stay with closed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.costs.compiled import CompiledSteps
from simulator.costs.curves import Curve, Window
from simulator.costs.forward import total_s
from simulator.costs.layer_times import LayerTimes
from simulator.costs.rank_times import RankTimes
from simulator.costs.sharing import Chunk
from simulator.costs.step import StepModel
from simulator.experts.draws import LoadDraws
from simulator.experts.loads import RankLoads
from simulator.models.operators import Combine, Dispatch, Experts

Floats = NDArray[np.float64]


class RoutedPart(NamedTuple):
    """The MoE layers of a step, or of one of the batches it is cut into.

    Parameters
    ----------
    tokens
        Tokens that meet in the experts.
    loads
        What the ranks get.
    experts_s
        Time of the experts by layer and rank, s.
    dispatch_s, combine_s
        Time of the exchange before and after the experts by layer, alone on its links, s.
    """

    tokens: float
    loads: RankLoads
    experts_s: Floats
    dispatch_s: Floats
    combine_s: Floats

    @property
    def seconds(self) -> float:
        """Time of all layers, one after another, s."""
        return float((self.experts_s.max(axis=1) + self.dispatch_s + self.combine_s).sum())


class ExpertPrices:
    """Prices the routed experts of a model, shared by all replicas and draft lengths of a pool.

    Parameters
    ----------
    model
        The operator-by-operator model, of a target with experts.
    """

    def __init__(self, model: StepModel) -> None:
        forward = model.target
        self._model = model
        self.experts = experts = next(op for op in forward.operators if isinstance(op, Experts))
        ranks, top_k = experts.expert_parallel, experts.top_k

        def price(copies: float, active: int) -> float:
            return total_s(forward.rank_experts(copies * ranks / top_k, active)) / experts.calls

        self.times = RankTimes(price, -(-experts.slots // ranks))
        self._routed = any(isinstance(op, Dispatch | Combine) for op in forward.operators)
        self._dispatch_s = RankTimes(partial(self._exchange_s, "dispatch"), 1)
        self._combine_s = RankTimes(partial(self._exchange_s, "combine"), 1)
        self._expected: dict[tuple[int, float], Curve] = {}

    def routed(self, loads: RankLoads) -> RoutedPart:
        """Price the layers of a batch with given loads."""
        top_k, ranks = self.experts.top_k, self.experts.expert_parallel
        tokens = float(loads.expert_tokens[0].sum()) / top_k
        busiest = np.full(len(loads.tokens), tokens)
        if self._routed:
            busiest = loads.tokens.max(axis=1) * ranks / top_k
        # A pipeline runs as many layers as if every stage had those of the longest.
        scale = self.experts.calls / len(loads.tokens)
        present = (busiest > 0).astype(np.int64)
        return RoutedPart(
            tokens,
            loads,
            scale * self.times.at(loads.tokens, loads.active),
            scale * self._dispatch_s.at(busiest, present),
            scale * self._combine_s.at(busiest, present),
        )

    def expected_s(self, requests: int, query_tokens: float, prompt_tokens: int) -> float:
        """Return what closed forms charge for what drawn loads replace: experts and exchange, s.

        Parameters
        ----------
        requests, query_tokens, prompt_tokens
            What meets in the experts.
        """
        curve = self._expected.get((requests, query_tokens))
        if curve is None:
            law, forward = self._model.law, self._model.target

            def price(prompt: int) -> float:
                independent = law.independent_tokens(requests, query_tokens, prompt)
                parts = forward.experts(requests * query_tokens + prompt, independent)
                transfers = self._model.expert_transfers(requests, prompt, independent)
                return total_s(parts) + total_s(transfers)

            curve = self._expected[requests, query_tokens] = Curve(price)
        return curve.at(prompt_tokens)

    def _exchange_s(self, part: str, tokens: float, _: int) -> float:
        """Return the time of an exchange in one layer, were all GPUs as loaded as the busiest."""
        found = self._model.target.exchange_around(tokens, tokens).get(part)
        return found.seconds / self.experts.calls if found else 0.0


class DrawnStep(NamedTuple):
    """A step whose loads are drawn.

    Parameters
    ----------
    expected_s
        Time of the step by closed forms, s.
    drawn_s
        With the loads drawn, its layers one after another, s.
    once_s
        Time of what happens once a step: host, sampling, drafting, experts moved or awaited; all
        but the routed experts and their exchange where the layers are not told apart, s.
    layers_s
        Time of all layers of a part without its experts and exchange (`LayerTimes`), s.
    whole
        The MoE layers of the step.
    parts
        Those of the batches that it is cut into; the whole unless two overlap.
    moving_s
        What moving experts to other ranks takes behind it, part of `once_s` but not of `drawn_s`.
    """

    expected_s: float
    drawn_s: float
    once_s: float
    layers_s: float
    whole: RoutedPart
    parts: list[RoutedPart]
    moving_s: float = 0.0

    @property
    def seconds(self) -> float:
        """What it takes where nothing overlaps and nobody else is on the links, s."""
        return self.drawn_s + self.moving_s


class SampledSteps:
    """The step costs of one replica at one draft length, with loads drawn at every step.

    A step is drawn when its time is asked for, so ask once. Draft lengths of a replica share its
    draws.

    Parameters
    ----------
    compiled
        Its step costs by closed forms.
    prices
        Of the target's experts.
    draws
        Loads of the steps of this replica.
    taken
        Told of every step that is drawn.
    layers
        Tells the layers from what happens once a step; None where nobody asks.
    parts
        Batches that a step is cut into; needs `layers` if there are several.
    """

    def __init__(
        self,
        compiled: CompiledSteps,
        prices: ExpertPrices,
        draws: LoadDraws,
        taken: Callable[[DrawnStep], None],
        *,
        layers: LayerTimes | None = None,
        parts: int = 1,
    ) -> None:
        self.gamma, self.query_tokens = compiled.gamma, compiled.query_tokens
        self._compiled, self._prices, self._draws = compiled, prices, draws
        self._taken, self._layers, self._most_parts = taken, layers, parts
        self._active = 0.0

    def decode_window(self, requests: int, context_tokens: int) -> Window:
        """Draw a step without prefill; the window holds for no other, so that each is drawn."""
        seconds = self._draw(requests, context_tokens, ()).seconds
        return Window(seconds, 0.0, 1, 0, self._active)

    def mixed_s(self, requests: int, context_tokens: int, chunks: Sequence[Chunk]) -> float:
        """Draw a step with prefill and return its time, s."""
        return self._draw(requests, context_tokens, chunks).seconds

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Return the mean over layers of the experts active in the step that was drawn last."""
        del requests, prompt_tokens
        return self._active

    def _draw(self, requests: int, context_tokens: int, chunks: Sequence[Chunk]) -> DrawnStep:
        """Draw the loads of the next step and price them; arguments as of `mixed_s`."""
        compiled = self._compiled
        met_requests = compiled.share(requests)[1]
        met_prompt = compiled.deal(chunks)[1] if chunks else 0
        parts = min(self._most_parts, max(met_requests, met_prompt))
        mean_tokens = compiled.mean_query_tokens
        loads = self._draws.draw(met_requests, mean_tokens, met_prompt, parts)
        # An expert counts once, however many of its replicas are at work.
        copies = loads[0].expert_tokens
        self._active = np.count_nonzero(copies) / len(copies)
        if chunks:
            expected_s = compiled.mixed_s(requests, context_tokens, chunks)
        else:
            expected_s = compiled.decode_s(requests, context_tokens)
        routed_s = self._prices.expected_s(met_requests, mean_tokens, met_prompt)
        once_s, layers_s = expected_s - routed_s, 0.0
        if self._layers is not None:
            step = requests, context_tokens, chunks
            layers_s = min(self._layers.seconds(*step), once_s)
            once_s -= layers_s
            if parts > 1:
                layers_s = self._layers.seconds(*step, parts)
        whole, *cut = [self._prices.routed(one) for one in loads]
        drawn_s = expected_s - routed_s + whole.seconds
        stall_s = self._draws.stall_s(drawn_s)
        drawn_s += stall_s
        moving_s = self._draws.passed(drawn_s)
        once_s += stall_s + moving_s
        drawn = DrawnStep(expected_s, drawn_s, once_s, layers_s, whole, cut or [whole], moving_s)
        self._taken(drawn)
        return drawn
