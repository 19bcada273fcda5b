"""Models fitted to the tables, for shapes that the tables lack, and the file they are kept in.

Expert kernels (``kernels of one grouped product and its surroundings``)::

    T(t, N) = t0 + e E + n N + (M^p + C^p)^(1/p)
    M = (N x expert bytes + a x activation bytes) / (eta_bandwidth x memory bandwidth)
    C = FLOPs / (eta_compute x peak)

with t tokens and N distinct experts touched, both inputs; T falls neither as t nor as N grows. The
efficiency is one constant on purpose: one that grows with the rows per expert follows the measured
shapes closer, but learns from them the tiles that kernels without a tuned configuration change to.

Decode attention: ``T = t0 + KV bytes / (eta_bandwidth x bandwidth) + c x batch x query heads``.
Prefill attention: ``T = t0 + FLOPs / (eta_compute x peak)``. Latent decode: as the experts, with
cache bytes and attention FLOPs. Attention has one fit per format of the cache; peaks are those of
that format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import TableError
from simulator.hardware.gpu import Gpu
from simulator.kernels import work
from simulator.kernels.schema import PACKAGE
from simulator.units import BYTES_PER_WEIGHT

FILE = "fits.yaml"


@dataclass(frozen=True, slots=True)
class ExpertShape:
    """Routed experts of one layer as a kernel sees them.

    Parameters
    ----------
    experts, top_k
        Routed experts E, and experts per token K.
    hidden, inter
        Model width H, and width I of one expert before any split.
    tensor_parallel
        GPUs over which each expert is split.
    gated
        True for gate-up-down experts (three matrices), False for two.
    expert_parallel
        GPUs over which the experts are spread.
    """

    experts: int
    top_k: int
    hidden: int
    inter: int
    tensor_parallel: int
    gated: bool = True
    expert_parallel: int = 1

    @property
    def matrices(self) -> int:
        """Weight matrices of one expert."""
        return 3 if self.gated else 2

    @property
    def local_experts(self) -> float:
        """Experts that one GPU holds."""
        return self.experts / self.expert_parallel


@dataclass(frozen=True, slots=True)
class Fit:
    """What every fit records: what it was fitted to, and how well.

    Parameters
    ----------
    gpu, engine, dtype, backend, version
        The rows it was fitted to; the engine is the one whose tables hold them.
    rows
        How many.
    median_error, mean_error
        Of the relative error over those rows, as fractions.
    """

    gpu: str
    engine: str
    dtype: str
    backend: str
    version: str
    rows: int
    median_error: float
    mean_error: float


@dataclass(frozen=True, slots=True)
class ExpertFit(Fit):
    """The pooled expert model of one GPU and dtype.

    Parameters
    ----------
    t0_s, per_expert_s, per_active_s
        Fixed time of a call, time per expert of the model, and per expert touched, s.
    eta_bandwidth
        Fraction of peak bandwidth.
    activation_share
        Share of the counted activation bytes that goes to memory; above 1, they go more than once.
    eta_compute
        Fraction of peak FLOP/s.
    exponent
        p: 1 adds memory and compute time, large takes the longer.
    shapes
        Shapes pooled.
    unseen_median_error, unseen_worst_error
        Median relative error on a shape left out of the fit: median and worst over the shapes; NaN
        with fewer than three shapes.
    """

    t0_s: float
    per_expert_s: float
    per_active_s: float
    eta_bandwidth: float
    activation_share: float
    eta_compute: float
    exponent: float
    shapes: int
    unseen_median_error: float
    unseen_worst_error: float

    def seconds(self, tokens: float, active: float, shape: ExpertShape, gpu: Gpu) -> float:
        """Return T(t, N).

        Parameters
        ----------
        tokens
            Tokens t of the call (of the whole expert-parallel group).
        active
            Distinct experts N touched on this GPU.
        shape, gpu
            The experts, and the GPU for its peaks.
        """
        m, h, i = shape.matrices, float(shape.hidden), float(shape.inter)
        split, spread = float(shape.tensor_parallel), shape.expert_parallel
        local = tokens / spread
        size = active * work.expert_bytes(h, i, m, split, self.dtype)
        activations = work.expert_activation_bytes(local, h, i, m, split, shape.top_k)
        size += self.activation_share * activations
        memory = size / (self.eta_bandwidth * gpu.memory_bandwidth)
        flops = work.expert_flops(local, h, i, m, split, shape.top_k)
        compute = flops / (self.eta_compute * gpu.peak(self.dtype))
        each = self.per_expert_s * shape.local_experts + self.per_active_s * active
        return self.t0_s + each + norm(memory, compute, self.exponent)


@dataclass(frozen=True, slots=True)
class DecodeFit(Fit):
    """Decode attention of one GPU, any head shape; ``per_query_head_s`` is c, s."""

    t0_s: float
    eta_bandwidth: float
    per_query_head_s: float
    equivalence_median_error: float
    equivalence_p90_error: float

    def seconds(
        self,
        batch: float,
        span: float,
        query_heads: float,
        kv_heads: int,
        head_dim: int,
        gpu: Gpu,
        kv_dtype: str | None = None,
    ) -> float:
        """Return the time over ``span`` cached tokens per request.

        ``kv_dtype`` is the format of the cache; None is that of the fit.
        """
        value_bytes = BYTES_PER_WEIGHT[kv_dtype or self.dtype]
        size = work.cache_bytes(batch, span, kv_heads, head_dim, value_bytes)
        read = size / (self.eta_bandwidth * gpu.memory_bandwidth)
        return self.t0_s + read + self.per_query_head_s * batch * query_heads


@dataclass(frozen=True, slots=True)
class PrefillFit(Fit):
    """Prefill attention of one GPU, any head shape."""

    t0_s: float
    eta_compute: float

    def seconds(self, pairs: float, heads: float, head_dim: int, gpu: Gpu) -> float:
        """Return the time of a causal prefill over ``pairs`` of query and key."""
        flops = work.attention_flops(pairs, heads, head_dim)
        return self.t0_s + flops / (self.eta_compute * gpu.peak(self.dtype))


@dataclass(frozen=True, slots=True)
class LatentDecodeFit(Fit):
    """Absorbed latent decode attention of one GPU."""

    t0_s: float
    eta_bandwidth: float
    eta_compute: float
    exponent: float

    def seconds(
        self,
        batch: float,
        context: float,
        query_heads: float,
        gpu: Gpu,
        kv_dtype: str | None = None,
    ) -> float:
        """Return the time over ``context`` cached tokens per request.

        ``kv_dtype`` is the format of the cache; None is that of the fit.
        """
        size = work.latent_cache_bytes(batch, context, BYTES_PER_WEIGHT[kv_dtype or self.dtype])
        memory = size / (self.eta_bandwidth * gpu.memory_bandwidth)
        compute = self.compute_seconds(batch, context, query_heads, gpu)
        return self.t0_s + norm(memory, compute, self.exponent)

    def compute_seconds(self, batch: float, context: float, query_heads: float, gpu: Gpu) -> float:
        """Return the compute term alone."""
        flops = work.latent_flops(batch * context, query_heads)
        return flops / (self.eta_compute * gpu.peak(self.dtype))


def norm(first: float, second: float, exponent: float) -> float:
    """Return (a^p + b^p)^(1/p), without overflow.

    Examples
    --------
    >>> norm(3.0, 4.0, 2.0)
    5.0
    """
    high, low = (first, second) if first >= second else (second, first)
    if high <= 0.0:
        return 0.0
    return float(high * (1.0 + (low / high) ** exponent) ** (1.0 / exponent))


KINDS_OF_FIT: Mapping[str, type[Fit]] = {
    "experts": ExpertFit,
    "masked_experts": ExpertFit,
    "decode_attention": DecodeFit,
    "prefill_attention": PrefillFit,
    "latent_decode": LatentDecodeFit,
}

UNITS = {
    "rows": "row",
    "shapes": "shape",
    "t0_s": "s",
    "per_expert_s": "s/expert",
    "per_active_s": "s/expert",
    "per_query_head_s": "s/(request x head)",
    "eta_bandwidth": "fraction of peak memory bandwidth",
    "eta_compute": "fraction of peak FLOP/s, of the format",
    "activation_share": "1",
    "exponent": "1",
}
"""Units of the numbers in the file; every ``..._error`` is a fraction of the measured time."""

_DIGITS = 5
_NOTHING = 1e-15
"""Smaller constants are a parameter at its lower bound of zero."""


def write_fits(path: Path, source: str, fitted: Mapping[str, Iterable[Fit]]) -> None:
    """Write the fits, one line each, numbers to five significant digits."""
    lines = [
        "# Models fitted to the tables beside this file, by the importer; do not edit.",
        "kind: fitted",
        f"source: {source!r}",
        "units:",
        *(f"  {name}: {unit}" for name, unit in UNITS.items()),
        "  errors: fraction of the measured time",
    ]
    for name, rows in fitted.items():
        lines.append(f"{name}:")
        lines += [f"  - {{{', '.join(_entries(fit))}}}" for fit in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _entries(fit: Fit) -> list[str]:
    return [f"{name}: {_number(value)}" for name, value in asdict(fit).items()]


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if value != value:  # noqa: PLR0124 (NaN)
        return ".nan"
    return repr(float(f"{value:.{_DIGITS - 1}e}")) if abs(value) > _NOTHING else "0.0"


def parse_fits(content: str) -> dict[str, list[Fit]]:
    """Read what `write_fits` wrote.

    Raises
    ------
    TableError
        If a fit lacks a field.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data = yaml.load(content, Loader=loader)
    found: dict[str, list[Fit]] = {}
    for name, kind in KINDS_OF_FIT.items():
        found[name] = []
        for entry in data.get(name) or []:
            missing = [f.name for f in fields(kind) if f.name not in entry]
            if missing:
                raise TableError(f"{FILE}: a fit of {name} lacks {', '.join(missing)}.")
            values = {f.name: _typed(entry[f.name], str(f.type)) for f in fields(kind)}
            found[name].append(kind(**values))
    return found


def _typed(value: Any, kind: str) -> Any:
    return {"float": float, "int": int, "str": str}[kind](value)


def load_fits(folder: Path | None = None) -> dict[str, list[Fit]]:
    """Read fits by operator: the shipped ones, or those in a folder of a user's own tables.

    Raises
    ------
    TableError
        If the folder has none, or a fit lacks a field.
    """
    if folder is None:
        return parse_fits(files(PACKAGE).joinpath(FILE).read_text(encoding="utf-8"))
    try:
        content = (folder / FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise TableError(
            f"{folder} holds kernel tables but no readable {FILE}: {error.strerror}. Measure "
            "again: moesim calibrate kernels"
        ) from error
    return parse_fits(content)
