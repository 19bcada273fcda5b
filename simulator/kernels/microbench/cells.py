"""What is timed: one operator of one shape in one number format, and the work that it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from simulator.kernels import work
from simulator.units import BYTES_PER_WEIGHT

VALUE_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of one value by the formats that can be timed."""

MATRICES = 3
"""Weight matrices of a timed expert: gate, up and down."""


ROUTINGS = ("balanced", "uniform")
"""How tokens choose experts: dealt out in turn, as in the shipped tables, or drawn."""


class Work(NamedTuple):
    """Bytes that have to be moved, and FLOPs to be computed."""

    moved_bytes: float
    flops: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to time.

    Parameters
    ----------
    operator
        One of `schema.OPERATORS`, or what is timed of the machine itself and stands in no table:
        ``copy``, ``read``, ``launch``.
    dtype
        Number format of weights, cache and activations.
    keys
        Its shape: the key columns of the operator's table; ``bytes`` for a copy or a read,
        ``kernels`` for launches.
    routing
        One of `ROUTINGS`.
    """

    operator: str
    dtype: str
    keys: Mapping[str, int]
    routing: str = ROUTINGS[0]

    def __str__(self) -> str:
        """Name it for people and for the table of spreads."""
        return " ".join(f"{key}={value}" for key, value in self.keys.items())

    def work(self) -> Work:
        """Return what the cell moves at least, and computes.

        Examples
        --------
        >>> Cell("gemm", "bfloat16", {"n": 4, "k": 2, "m": 1}).work()
        Work(moved_bytes=28.0, flops=16.0)
        """
        return _WORK[self.operator](self.keys, VALUE_BYTES[self.dtype])


def _gemm(keys: Mapping[str, int], width: int) -> Work:
    n, k, m = (float(keys[name]) for name in ("n", "k", "m"))
    return Work(width * (n * k + m * (n + k)), 2 * n * k * m)


def _experts(keys: Mapping[str, int], width: int) -> Work:
    tokens, top_k = float(keys["tokens"]), float(keys["top_k"])
    shape = (float(keys["hidden"]), float(keys["inter"]), float(MATRICES), 1.0)
    active = min(float(keys["experts"]), tokens * top_k)
    scale = width / work.ACTIVATION_BYTES
    moved = active * scale * work.expert_bytes(*shape, "bfloat16")
    moved += scale * work.expert_activation_bytes(tokens, *shape, top_k)
    return Work(moved, work.expert_flops(tokens, *shape, top_k))


def _decode(keys: Mapping[str, int], width: int) -> Work:
    batch, context = float(keys["batch"]), float(keys["context"])
    moved = work.cache_bytes(batch, context, keys["kv_heads"], keys["head_dim"], width)
    flops = work.attention_flops(batch * context, keys["heads"], keys["head_dim"])
    return Work(moved, flops)


def _prefill(keys: Mapping[str, int], width: int) -> Work:
    tokens, heads, head_dim = (float(keys[n]) for n in ("tokens", "heads", "head_dim"))
    moved = 2 * width * tokens * (heads + keys["kv_heads"]) * head_dim
    return Work(moved, work.attention_flops(tokens * tokens / 2, heads, head_dim))


def _copy(keys: Mapping[str, int], _: int) -> Work:
    return Work(2.0 * keys["bytes"], 0.0)


def _read(keys: Mapping[str, int], _: int) -> Work:
    return Work(float(keys["bytes"]), 0.0)


def _launch(*_: object) -> Work:
    return Work(0.0, 0.0)


_WORK: dict[str, Callable[[Mapping[str, int], int], Work]] = {
    "gemm": _gemm,
    "experts": _experts,
    "decode_attention": _decode,
    "prefill_attention": _prefill,
    "copy": _copy,
    "read": _read,
    "launch": _launch,
}


def expert_bytes(cell: Cell) -> float:
    """Return the weight bytes of one expert of a cell of experts."""
    shape = (float(cell.keys["hidden"]), float(cell.keys["inter"]), float(MATRICES), 1.0)
    return (
        work.expert_bytes(*shape, "bfloat16")
        * VALUE_BYTES[cell.dtype]
        / BYTES_PER_WEIGHT["bfloat16"]
    )
