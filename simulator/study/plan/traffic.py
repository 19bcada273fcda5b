"""What the requests of a workload ask for on average, from the very requests that are simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.slo import SloConfig
from simulator.streams import Streams
from simulator.workload.requests import Workload

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Lengths of requests, and of which class they are.

    Parameters
    ----------
    prompt_tokens, output_tokens
        Of each request, shape (n,).
    traffic_class
        Index of its class, shape (n,).
    shares_prefixes
        Whether prompts may begin alike, so that a cache spares work and memory.
    """

    prompt_tokens: Ints
    output_tokens: Ints
    traffic_class: Ints
    shares_prefixes: bool = False

    @property
    def later_tokens(self) -> Ints:
        """Output tokens after the first, which decode steps emit."""
        return self.output_tokens - 1

    @property
    def context_tokens(self) -> float:
        """Mean cached tokens of a request that decodes, if all advance alike.

        A request with prompt p and output o stays for o - 1 tokens, with p + o / 2 cached on
        average.
        """
        weights = self.later_tokens
        held = self.prompt_tokens + self.output_tokens / 2
        return float(weights @ held / max(1, weights.sum()))

    def of_class(self, index: int) -> Traffic:
        """Return the requests of a class alone, which keep its index."""
        mine = self.traffic_class == index
        return replace(
            self,
            prompt_tokens=self.prompt_tokens[mine],
            output_tokens=self.output_tokens[mine],
            traffic_class=self.traffic_class[mine],
        )

    def class_shares(self) -> NDArray[np.float64]:
        """Return the share of the requests in each class, shape (classes,)."""
        counts = np.bincount(self.traffic_class)
        shares: NDArray[np.float64] = counts / counts.sum()
        return shares

    def residence_bound_s(self, objectives: Sequence[SloConfig]) -> NDArray[np.float64]:
        """Return for how long each request may decode at most under its objective, s, shape (n,).

        Infinite where neither time per output token nor end-to-end latency is bounded.
        """
        tpot_s = np.array([slo.tpot_s or np.inf for slo in objectives])[self.traffic_class]
        e2e_s = np.array([slo.e2e_s or np.inf for slo in objectives])[self.traffic_class]
        later = self.later_tokens
        with np.errstate(invalid="ignore"):  # no later token under no bound
            by_token = np.where(later > 0, tpot_s * later, 0.0)
        bound: NDArray[np.float64] = np.minimum(by_token, e2e_s)
        return bound


def observe(workload: Workload, streams: Streams) -> Traffic:
    """Draw the requests of a workload and look at their lengths."""
    blocks = list(workload.blocks(streams))
    classes = [
        np.zeros(block.size, np.int64) if block.traits is None else block.traits.traffic_class
        for block in blocks
    ]
    return Traffic(
        prompt_tokens=np.concatenate([block.prompt_tokens for block in blocks]),
        output_tokens=np.concatenate([block.output_tokens for block in blocks]),
        traffic_class=np.concatenate(classes),
        shares_prefixes=any(
            any(block.traits.prefixes) for block in blocks if block.traits is not None
        ),
    )
