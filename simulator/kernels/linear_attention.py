"""Linear attention with a state of fixed size: the gated delta rule (Qwen3-Next, Qwen3.5).

Measured are the short convolution with its activation and the delta rule with its gates. The
projections around them and the gated norm of the output are not in.

Heads and requests are interchangeable to both kernels when they decode: measured times agree where
value heads x batch do (rule), or channels x batch (convolution). A number of heads that was not
measured is therefore served by the largest measured one below it with more requests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.hardware.gpu import Gpu
from simulator.kernels.loggrid import LogGrid, grid_of
from simulator.kernels.roofline import load_roofline
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing, weaker
from simulator.kernels.work import ACTIVATION_BYTES

STATE_BYTES = 4
"""Bytes per value of the state: float32, as the measured bandwidth shows and engines default to."""

CHUNK = 64
"""Tokens that the chunked rule takes at once (flash-linear-attention's chunk size)."""


@dataclass(frozen=True, slots=True)
class LinearShape:
    """Linear attention of one layer on one GPU; the widths that were measured are the defaults.

    Parameters
    ----------
    key_heads, value_heads
        Heads of queries and keys, and of values, on this GPU.
    key_dim, value_dim
        Their widths.
    conv_width
        Tokens that the convolution spans.
    """

    key_heads: int
    value_heads: int
    key_dim: int = 128
    value_dim: int = 128
    conv_width: int = 4

    @property
    def channels(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim

    @property
    def state_bytes(self) -> int:
        """Bytes of the delta rule's state of one request."""
        return STATE_BYTES * self.value_heads * self.key_dim * self.value_dim


class LinearAttention:
    """Gated delta rule of one GPU: convolution and rule, as measured or by the roofline.

    Decoding reads and writes the state of every request once, whatever its context. Verifying q
    tokens reads it once and writes one state per token, to return to whichever is accepted last:
    as much as decoding (1 + q) / 2 as many requests. KDA rows of the database, the one linear
    attention measured under verification, follow that law with a median error of 6 to 8 % on
    Hopper and Blackwell (vLLM), 20 % below them on L40S and RTX PRO 6000.

    Parameters
    ----------
    gpu
        The measured GPU.
    decode, prefill
        Rows of ``linear_decode`` and ``linear_prefill``; None where there are none, and for widths
        that were not measured, the roofline answers.
    """

    def __init__(self, gpu: Gpu, decode: Rows | None, prefill: Rows | None) -> None:
        self._gpu = gpu
        self._decode = None if decode is None else _Parts(decode, ("batch",))
        self._prefill = None if prefill is None else _Parts(prefill, ("batch", "tokens"))

    def decode(self, requests: float, query_tokens: float, shape: LinearShape) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.linear_decode_attention`."""
        if self._decode is None or not _same_widths(shape):
            size = decode_bytes(requests, query_tokens, shape)
            flops = _flops(requests * query_tokens, shape)
            return load_roofline("linear_decode").at(size, flops, self._gpu)
        width = shape.conv_width
        inputs = requests * (width - 1 + query_tokens) / width
        states = requests * (1 + query_tokens) / 2
        convolution = self._decode.at("convolution", shape, inputs)
        timing = convolution + self._decode.at("rule", shape, states)
        kind = timing.kind if query_tokens == 1 else weaker(timing.kind, "fitted")
        return Timing(timing.seconds, kind)

    def prefill(self, tokens: float, requests: float, shape: LinearShape) -> Timing:
        """Return the time; arguments as in `tables.KernelTables.linear_prefill_attention`."""
        if self._prefill is None or not _same_widths(shape):
            size = prefill_bytes(tokens * requests, shape) + 2 * requests * shape.state_bytes
            flops = _flops(tokens * requests, shape)
            return load_roofline("linear_prefill").at(size, flops, self._gpu)
        convolution = self._prefill.at("convolution", shape, requests, tokens)
        return convolution + self._prefill.at("rule", shape, requests, tokens)


class _Parts:
    """Grids of convolution and rule, one pair per measured number of heads."""

    def __init__(self, rows: Rows, axes: tuple[str, ...]) -> None:
        self._rows, self._axes = rows, axes
        self._grids: dict[tuple[str, int, int], LogGrid] = {}
        heads = np.unique(np.stack([rows["value_heads"], rows["key_heads"]]), axis=1)
        self._shapes = [LinearShape(key, value) for value, key in heads.T.tolist()]

    def at(self, part: str, shape: LinearShape, requests: float, *tokens: float) -> Timing:
        """Return the time of one part; the first axis is the number of requests."""
        near = self._nearest(shape)
        grid = self._grid(part, near)
        if near == shape:
            return grid.at(requests, *tokens)
        width = "channels" if part == "convolution" else "value_heads"
        timing = grid.at(requests * getattr(shape, width) / getattr(near, width), *tokens)
        return Timing(timing.seconds, weaker(timing.kind, "fitted"))

    def _nearest(self, shape: LinearShape) -> LinearShape:
        below = [s for s in self._shapes if s.value_heads <= shape.value_heads]
        most = max((s.value_heads for s in below), default=self._shapes[0].value_heads)
        same = [s for s in self._shapes if s.value_heads == most]
        return min(same, key=lambda s: abs(s.key_heads - shape.key_heads))

    def _grid(self, part: str, shape: LinearShape) -> LogGrid:
        key = (part, shape.key_heads, shape.value_heads)
        if key not in self._grids:
            rows = self._rows
            keep = (rows["part"] == part) & (rows["key_heads"] == shape.key_heads)
            keep &= rows["value_heads"] == shape.value_heads
            axes, seconds = grid_of([rows[n][keep] for n in self._axes], rows["seconds"][keep])
            self._grids[key] = LogGrid(axes, seconds, (1.0,) * len(axes))
        return self._grids[key]


def decode_bytes(requests: float, query_tokens: float, shape: LinearShape) -> float:
    """Bytes of one decode: state and last inputs read once, both written once per query token.

    Per channel the convolution reads ``conv_width - 1`` inputs and a token, and writes a token.
    """
    states = requests * (1 + query_tokens) * shape.state_bytes
    inputs = requests * shape.channels * 2 * (shape.conv_width - 1 + query_tokens)
    return states + ACTIVATION_BYTES * inputs


def prefill_bytes(tokens: float, shape: LinearShape) -> float:
    """Bytes that a chunked prefill moves, counted over all prompts.

    Per channel and token the convolution reads and writes a value. Per value head and token the
    rule reads query, key and value and writes the output; between its kernels it writes and reads a
    key-wide and two value-wide vectors, and the state once per chunk.
    """
    head = 2 * (shape.key_dim + shape.value_dim)
    head += 2 * (shape.key_dim + 2 * shape.value_dim + shape.key_dim * shape.value_dim // CHUNK)
    return ACTIVATION_BYTES * tokens * (2 * shape.channels + shape.value_heads * head)


def _flops(tokens: float, shape: LinearShape) -> float:
    """Per element of the state 7 (decay, read by key, update, read by query); the convolution."""
    state = shape.value_heads * shape.key_dim * shape.value_dim
    return tokens * (7 * state + 2 * shape.conv_width * shape.channels)


def _same_widths(shape: LinearShape) -> bool:
    return shape == LinearShape(shape.key_heads, shape.value_heads)
