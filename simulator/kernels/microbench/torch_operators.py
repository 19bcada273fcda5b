"""Operators of the cells in PyTorch, the same on every device.

Operands are blocks of random numbers repeated to size: random enough for the arithmetic, made at
the speed of a copy. Grouped products are `torch.nn.functional.grouped_mm`; a query token that
shares a KV head with others is a row of one product, as packed kernels treat it, so verifying reads
the cache once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.kernels.microbench.cells import Cell
from simulator.kernels.microbench.device import Call
from simulator.kernels.microbench.routing import chosen_experts

_BLOCK = 2**16
"""Distinct random numbers in an operand."""

KERNELS = {
    "gemm": "linear",
    "experts": "grouped_mm",
    "decode_attention": "scaled_dot_product_attention",
    "prefill_attention": "scaled_dot_product_attention",
    "copy": "copy_",
    "read": "sum",
    "launch": "add_",
}
"""PyTorch function that does the work of a cell."""


class TorchOperators:
    """Makes operands and calls.

    Parameters
    ----------
    torch
        The module; given, so that nothing here imports it.
    device
        ``cpu`` or ``cuda``.
    """

    def __init__(self, torch: Any, device: str) -> None:
        self._torch, self._device = torch, device
        self._functional = torch.nn.functional
        self._weights: tuple[tuple[Any, ...], tuple[Any, Any]] | None = None

    def prepare(self, cell: Cell) -> Call:
        """Return a call that runs the cell once."""
        make = getattr(self, f"_{cell.operator}")
        call: Call = make(cell.keys, getattr(self._torch, cell.dtype), cell)
        return call

    def _filled(self, dtype: Any, *shape: int) -> Any:
        block = self._torch.randn(_BLOCK, device=self._device).to(dtype)
        count = int(np.prod(shape))
        return block.repeat(-(-count // _BLOCK))[:count].view(*shape)

    def _gemm(self, keys: Mapping[str, int], dtype: Any, _: Cell) -> Call:
        weight = self._filled(dtype, keys["n"], keys["k"])
        rows = self._filled(dtype, keys["m"], keys["k"])
        return lambda: self._functional.linear(rows, weight)

    def _experts(self, keys: Mapping[str, int], dtype: Any, cell: Cell) -> Call:
        """Route, sort, multiply, activate, multiply and combine, as an MoE layer does."""
        torch, top_k, experts = self._torch, keys["top_k"], keys["experts"]
        into, out_of = self._expert_weights(keys, dtype)
        hidden = self._filled(dtype, keys["tokens"], keys["hidden"])
        scores = torch.zeros(keys["tokens"], experts, device=self._device)
        chosen = torch.from_numpy(chosen_experts(cell)).to(self._device)
        scores.scatter_(1, chosen, 1.0)
        numbers = torch.arange(experts, device=self._device)[:, None]

        def layer() -> Any:
            weights, picks = scores.topk(top_k, dim=1)
            pairs = picks.flatten()
            order = pairs.argsort()
            ends = (pairs == numbers).sum(1).cumsum(0).to(torch.int32)
            rows = hidden[order // top_k]
            gate, up = self._functional.grouped_mm(rows, into, offs=ends).chunk(2, dim=-1)
            active = self._functional.silu(gate) * up
            results = self._functional.grouped_mm(active, out_of, offs=ends)
            results = results * weights.flatten()[order, None].to(dtype)
            return torch.zeros_like(hidden).index_add_(0, order // top_k, results)

        return layer

    def _expert_weights(self, keys: Mapping[str, int], dtype: Any) -> tuple[Any, Any]:
        """Return both stacks of weights; those made last are kept, for cells of the same shape."""
        experts, hidden, inter = keys["experts"], keys["hidden"], keys["inter"]
        shape = (experts, hidden, inter, dtype)
        if self._weights is None or self._weights[0] != shape:
            self._weights = None  # before the next ones are made: both may not fit
            into = self._filled(dtype, experts, 2 * inter, hidden).transpose(1, 2)
            out_of = self._filled(dtype, experts, hidden, inter).transpose(1, 2)
            self._weights = shape, (into, out_of)
        return self._weights[1]

    def _decode_attention(self, keys: Mapping[str, int], dtype: Any, _: Cell) -> Call:
        batch, kv, width = keys["batch"], keys["kv_heads"], keys["head_dim"]
        queries = self._filled(dtype, batch, kv, keys["heads"] // kv, width)
        cached = [self._filled(dtype, batch, kv, keys["context"], width) for _ in range(2)]
        return lambda: self._functional.scaled_dot_product_attention(queries, *cached)

    def _prefill_attention(self, keys: Mapping[str, int], dtype: Any, _: Cell) -> Call:
        heads, tokens, width = keys["heads"], keys["tokens"], keys["head_dim"]
        queries = self._filled(dtype, 1, heads, tokens, width)
        shared = [self._filled(dtype, 1, keys["kv_heads"], tokens, width) for _ in range(2)]
        grouped = heads != keys["kv_heads"]
        return lambda: self._functional.scaled_dot_product_attention(
            queries, *shared, is_causal=True, enable_gqa=grouped
        )

    def _copy(self, keys: Mapping[str, int], dtype: Any, _: Cell) -> Call:
        source = self._filled(dtype, keys["bytes"] // dtype.itemsize)
        target = self._torch.empty_like(source)
        return lambda: target.copy_(source)

    def _read(self, keys: Mapping[str, int], *_: Any) -> Call:
        source = self._filled(self._torch.float32, keys["bytes"] // 4)
        call: Call = source.sum
        return call

    def _launch(self, keys: Mapping[str, int], dtype: Any, _: Cell) -> Call:
        one, kernels = self._filled(dtype, 1), range(keys["kernels"])

        def launch() -> None:
            for _ in kernels:
                one.add_(1)

        return launch
