"""Where the ten parameters may lie: the sizes of the models and the GPU's bandwidth say it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.gpu import Gpu
from simulator.models.architecture import Architecture
from simulator.models.drafters import Drafter, drafter_weight_bytes
from simulator.models.parallelism import Parallelism
from simulator.models.parameters import bytes_per_weight, parameters
from simulator.speculation.performance import NAMES

Floats = NDArray[np.float64]

LAMBDA = (0.2, 1.0)
BASE = (1.0, 2.0)
"""Bounds of lambda and of s (MoESD, App. C.2)."""

SLOWEST_LOAD = 5.0
"""Loads take at most so many times what peak bandwidth allows (MoESD, App. C.2)."""

_NOT_LOADED = ("embedding",)
"""Of the dense part: a step looks a few rows up and reads no more."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower and upper bounds of the ten parameters, in the order of `NAMES`.

    Parameters
    ----------
    low, high
        Shape (10,); times in seconds, high may be infinite.
    source
        Where they come from, for people.
    """

    low: Floats
    high: Floats
    source: str

    def with_reject_at_most(self, longest_s: float) -> Bounds:
        """Bound both rejection parameters by the longest rejection time measured, s (App. C.2)."""
        high = self.high.copy()
        high[[6, 7]] = np.minimum(high[[6, 7]], longest_s)
        return replace(self, high=high)

    def without_experts(self) -> Bounds:
        """Hold k2 and k3 at 0: in a dense model they are bias and k1 once more."""
        low, high = self.low.copy(), self.high.copy()
        low[[2, 3]] = high[[2, 3]] = 0.0
        return replace(self, low=low, high=high)


def open_bounds() -> Bounds:
    """Return the bounds that hold for any model and GPU: times are not negative."""
    low, high = np.zeros(len(NAMES)), np.full(len(NAMES), np.inf)
    (low[8], high[8]), (low[9], high[9]) = LAMBDA, BASE
    return Bounds(low, high, "times at least 0")


def physical_bounds(target: Architecture, drafter: Drafter, gpu: Gpu, gpus: int) -> Bounds:
    """Return the bounds of App. C.2.

    ``bias``, ``k2`` and ``draft_bias`` are at least the bytes of what they load over peak bandwidth
    and at most five times that: for ``bias`` all that every step reads (attention, shared experts,
    router, LM head), for ``k2`` one routed expert of every layer, for ``draft_bias`` the drafter.
    Other times are only not negative. An n-gram drafter loads nothing and leaves its bound open.

    Parameters
    ----------
    target, drafter
        The models.
    gpu, gpus
        The GPU, and how many share the target by tensor parallelism.

    Raises
    ------
    ConfigError
        If the GPUs cannot share the model.

    Examples
    --------
    >>> from simulator.hardware.gpu import load_gpu
    >>> from simulator.models.catalog import load_architecture, load_drafter
    >>> pair = load_architecture("qwen2_57b_a14b"), load_drafter("qwen2_0_5b")
    >>> (1e3 * physical_bounds(*pair, load_gpu("a800_sxm"), 2).low[[0, 2, 4]]).round(2).tolist()
    [3.7, 0.38, 0.48]
    """
    parallelism = Parallelism(gpus)
    counts = parameters(target, parallelism)
    sizes = {part: count * bytes_per_weight(target, part) for part, count in counts.items()}
    expert = sizes.pop("experts") / (target.moe.experts if target.moe else 1)
    dense = sum(size for part, size in sizes.items() if part not in _NOT_LOADED)
    loads = dense, expert, drafter_weight_bytes(drafter, target, parallelism)
    bounds = open_bounds()
    for index, size in zip((0, 2, 4), loads, strict=True):
        if size > 0:
            bounds.low[index] = size / gpu.memory_bandwidth
            bounds.high[index] = SLOWEST_LOAD * bounds.low[index]
    source = f"weights of {target.title} and {drafter.title} over {gpus} x {gpu.title}"
    return replace(bounds, source=source)
