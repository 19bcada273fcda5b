"""Step costs with loads drawn for every MoE layer: the slowest rank of each rules.

Everything outside the routed experts and the exchange around them is priced as in
`costs.compiled`. The experts of a layer take as long as on their slowest rank, and the step waits
for every layer: ``sum over layers of (max over ranks of T(copies, active) + exchange)``. The
drafter's own experts, if it has any, stay with closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.costs.compiled import CompiledSteps
from simulator.costs.curves import Curve, Window
from simulator.costs.forward import total_s
from simulator.costs.rank_times import RankTimes
from simulator.costs.sharing import Chunk
from simulator.costs.step import StepModel
from simulator.experts.draws import LoadDraws
from simulator.experts.loads import RankLoads
from simulator.models.operators import Experts

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
        Time of the exchange before and after the experts of one layer, alone on its links, s.
    """

    tokens: float
    loads: RankLoads
    experts_s: Floats
    dispatch_s: float
    combine_s: float

    @property
    def seconds(self) -> float:
        """Time of all layers, one after another, s."""
        layers = len(self.experts_s)
        exchange_s = layers * (self.dispatch_s + self.combine_s)
        return float(self.experts_s.max(axis=1).sum()) + exchange_s


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

        self.times = RankTimes(price, -(-experts.experts // ranks))
        self._dispatch_s = Curve(lambda tokens: self._exchange_s("dispatch", tokens))
        self._combine_s = Curve(lambda tokens: self._exchange_s("combine", tokens))
        self._expected: dict[tuple[int, float], Curve] = {}

    def routed(self, loads: RankLoads) -> RoutedPart:
        """Price the layers of a batch with given loads."""
        copies = float(loads.expert_tokens[0].sum())
        tokens = copies / self.experts.top_k
        experts_s = self.times.at(loads.tokens, loads.active)
        met = round(tokens)
        exchange_s = self._dispatch_s.at(met), self._combine_s.at(met)
        return RoutedPart(tokens, loads, experts_s, *exchange_s)

    def expected_s(self, requests: int, query_tokens: float, prompt_tokens: int) -> float:
        """Return what closed forms charge for experts and exchange: what drawn loads replace, s.

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
                return total_s(forward.experts(requests * query_tokens + prompt, independent))

            curve = self._expected[requests, query_tokens] = Curve(price)
        return curve.at(prompt_tokens)

    def _exchange_s(self, part: str, tokens: int) -> float:
        found = self._model.target.exchange_around(tokens).get(part)
        return found.seconds / self.experts.calls if found else 0.0


class DrawnStep(NamedTuple):
    """A step whose loads are drawn.

    Parameters
    ----------
    outside_s
        Time of everything but the routed experts and their exchange, s.
    parts
        The batches that it is cut into; one unless two overlap.
    """

    outside_s: float
    parts: list[RoutedPart]


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
    """

    def __init__(self, compiled: CompiledSteps, prices: ExpertPrices, draws: LoadDraws) -> None:
        self.gamma, self.query_tokens = compiled.gamma, compiled.query_tokens
        self.compiled = compiled
        self._prices, self._draws = prices, draws
        self._scale = prices.experts.calls
        self.drawn: DrawnStep | None = None
        """The last step."""

    def decode_window(self, requests: int, context_tokens: int) -> Window:
        """Draw a step without prefill; the window holds for this step alone, see `StepTimes`."""
        seconds = self._take(self.draw(requests, context_tokens))
        return Window(seconds, 0.0, 1, 0, self.active_experts(requests, 0))

    def mixed_s(self, requests: int, context_tokens: int, chunks: Sequence[Chunk]) -> float:
        """Draw a step with prefill and return its time, s."""
        return self._take(self.draw(requests, context_tokens, chunks))

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Return the mean over layers of the experts active in the step that was drawn last."""
        del requests, prompt_tokens
        if self.drawn is None:
            return 0.0
        return float(sum(part.loads.active.sum(axis=1).mean() for part in self.drawn.parts))

    def draw(
        self, requests: int, context_tokens: int, chunks: Sequence[Chunk] = (), parts: int = 1
    ) -> DrawnStep:
        """Draw the loads of the next step and price them.

        Parameters
        ----------
        requests, context_tokens, chunks
            As in `CompiledSteps.mixed_s`.
        parts
            Batches that the step is cut into.
        """
        compiled = self.compiled
        if chunks:
            total_s = compiled.mixed_s(requests, context_tokens, chunks)
        else:
            total_s = compiled.decode_s(requests, context_tokens)
        met_requests = compiled.share(requests)[1]
        met_prompt = compiled.deal(chunks)[1] if chunks else 0
        mean_tokens = compiled.mean_query_tokens
        expected_s = self._prices.expected_s(met_requests, mean_tokens, met_prompt)
        loads = self._draws.draw(met_requests, max(round(mean_tokens), 1), met_prompt, parts)
        return DrawnStep(total_s - expected_s, [self._prices.routed(one) for one in loads])

    def _take(self, drawn: DrawnStep) -> float:
        """Remember a step; return its time, its parts one after another."""
        self.drawn = drawn
        layers = len(drawn.parts[0].experts_s)
        routed_s = sum(part.seconds for part in drawn.parts) * self._scale / layers
        return drawn.outside_s + routed_s
