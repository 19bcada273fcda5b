"""Routed experts: grouped products with the number of distinct experts as an input."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from simulator.errors import TableError, unknown
from simulator.hardware.gpu import Gpu
from simulator.kernels.fits import ExpertFit, ExpertShape
from simulator.kernels.loggrid import LogGrid
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing, weaker


class BalancedCurve:
    """The measured times of one shape over token counts, under balanced routing.

    Balanced routing touches min(E, t K) experts, so ``T_bal(N / K)`` is the time with N experts and
    few tokens each, and the curve beyond E / K shows what further tokens cost. With N given::

        T(t, N) = M(N / K) + T_bal(t) - M(min(t, E / K))

    where M(x) is the least time measured at x tokens or more: the time of touching the experts,
    free of the bumps that tile configurations make. On the balanced curve itself the sum is the
    measurement; in N it never falls. Outside the measured token counts the curve follows the
    fitted model, scaled to meet it.
    """

    def __init__(
        self, tokens: np.ndarray, seconds: np.ndarray, fit: ExpertFit, shape: ExpertShape, gpu: Gpu
    ):
        order = np.argsort(tokens)
        tokens, seconds = tokens[order].astype(float), seconds[order].astype(float)
        least = np.minimum.accumulate(seconds[::-1])[::-1]
        self._measured = LogGrid([tokens], seconds, (1.0,))
        self._memory = LogGrid([tokens], least, (1.0,))
        self._first, self._last = float(tokens[0]), float(tokens[-1])
        self._ends = (float(seconds[0]), float(seconds[-1]), float(least[0]), float(least[-1]))
        self._fit, self._shape, self._gpu = fit, shape, gpu
        self._knee = shape.experts / shape.top_k

    def at(self, tokens: float, active: float) -> Timing:
        """Return T(t, N) with N experts touched on this GPU."""
        spread = active * self._shape.expert_parallel / self._shape.top_k
        memory = self._at(self._memory, spread, self._ends[2:])
        total = self._at(self._measured, tokens, self._ends[:2])
        base_s = self._all_touched_s
        if tokens < self._knee:
            base_s = self._at(self._memory, tokens, self._ends[2:]).seconds
        seconds = memory.seconds + max(0.0, total.seconds - base_s)
        return Timing(seconds, weaker(memory.kind, total.kind))

    @cached_property
    def _all_touched_s(self) -> float:
        """M(E / K): what any step of more tokens is compared with."""
        return self._at(self._memory, self._knee, self._ends[2:]).seconds

    def _at(self, grid: LogGrid, tokens: float, ends: tuple[float, ...]) -> Timing:
        if self._first <= tokens <= self._last:
            return grid.at(tokens)
        edge, known = (self._first, ends[0]) if tokens < self._first else (self._last, ends[1])
        scale = known / self._model(edge)
        return Timing(scale * self._model(tokens), "fitted")

    def _model(self, tokens: float) -> float:
        shape = self._shape
        active = min(shape.experts, tokens * shape.top_k) / shape.expert_parallel
        return self._fit.seconds(tokens, active, shape, self._gpu)


class ExpertTable:
    """Expert times of one GPU: the measured curve of a shape, or the fitted model without one."""

    def __init__(self, gpu: Gpu, rows: Rows, fits: Mapping[str, ExpertFit]) -> None:
        self._gpu, self._rows, self._fits = gpu, rows, fits
        self._curves: dict[tuple[ExpertShape, str], BalancedCurve | None] = {}

    def at(self, tokens: float, active: float, shape: ExpertShape, dtype: str) -> Timing:
        """Return T(t, N).

        Parameters
        ----------
        tokens
            Tokens t that enter the layer (of the whole expert-parallel group), > 0.
        active
            Distinct experts N touched on this GPU, at most those it holds.
        shape, dtype
            The experts and their weight format.

        Raises
        ------
        TableError
            If no experts of the dtype were measured on this GPU, or N exceeds the experts held.
        """
        curve = self._curve(shape, dtype)
        if not 0 < active <= shape.local_experts * (1 + 1e-9):
            raise TableError(
                f"{active} active experts asked of {shape.local_experts:g} held; "
                "the routing law must give 0 < N <= E."
            )
        if curve is not None:
            return curve.at(tokens, active)
        return Timing(self._fits[dtype].seconds(tokens, active, shape, self._gpu), "fitted")

    def has(self, shape: ExpertShape, dtype: str) -> bool:
        """Tell whether the shape itself was measured; raises as `at` for an unknown dtype."""
        return self._curve(shape, dtype) is not None

    def _curve(self, shape: ExpertShape, dtype: str) -> BalancedCurve | None:
        key = (shape, dtype)
        if key not in self._curves:
            self._curves[key] = self._build(shape, dtype)
        return self._curves[key]

    def _build(self, shape: ExpertShape, dtype: str) -> BalancedCurve | None:
        if dtype not in self._fits:
            raise TableError(
                unknown("expert dtype", dtype, self._fits, f"the tables of {self._gpu.name}")
            )
        rows = self._rows
        keep = rows["dtype"] == dtype
        for name in (
            "experts",
            "top_k",
            "hidden",
            "inter",
            "matrices",
            "tensor_parallel",
            "expert_parallel",
        ):
            keep &= rows[name] == getattr(shape, name)
        if not keep.any():
            return None
        return BalancedCurve(
            rows["tokens"][keep], rows["seconds"][keep], self._fits[dtype], shape, self._gpu
        )
