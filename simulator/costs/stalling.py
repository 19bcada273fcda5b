"""Step times of a replica whose resident experts are followed step by step."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.costs.curves import Window
from simulator.costs.offload import ExpertTransfers
from simulator.costs.sampled import SampledSteps
from simulator.costs.sharing import Chunk
from simulator.experts.offload import StoredWalk


class StallingSteps:
    """Drawn steps, longer by what their layers wait for experts (`ExpertTransfers.stall_s`).

    What hides prefetches is the whole of the step, drafting and host work included, as if spread
    evenly over its layers.

    Parameters
    ----------
    steps
        Step costs at one draft length, drawn along ``walk``, transfers from host memory left out.
    walk
        Routes of the steps, which run through the store of the replica.
    transfers
        Prices what crosses the host link.
    """

    def __init__(self, steps: SampledSteps, walk: StoredWalk, transfers: ExpertTransfers) -> None:
        self.gamma, self.query_tokens = steps.gamma, steps.query_tokens
        self._steps, self._walk, self._transfers = steps, walk, transfers

    def decode_window(self, requests: int, context_tokens: int) -> Window:
        """Draw a step without prefill; the window holds for no other."""
        window = self._steps.decode_window(requests, context_tokens)
        return window._replace(base_s=self._stalled_s(window.base_s))

    def mixed_s(self, requests: int, context_tokens: int, chunks: Sequence[Chunk]) -> float:
        """Draw a step with prefill and return its time, s."""
        return self._stalled_s(self._steps.mixed_s(requests, context_tokens, chunks))

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """Return the distinct experts of a layer in the step that was drawn last."""
        return self._steps.active_experts(requests, prompt_tokens)

    def _stalled_s(self, step_s: float) -> float:
        """Return the time of the step drawn last, its stalls included."""
        return step_s + self._transfers.stall_s(self._walk.transfers, step_s)
