"""Reading the measured database of ``aiconfigurator-core``, by path; its code is never imported."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from simulator.errors import TableError
from simulator.kernels import deepep, readers
from simulator.kernels.schema import Rows, to_rows
from simulator.kernels.selection import Choice
from simulator.units import MS

_BF16_BYTES = 2
"""All-reduce message sizes are counted in bfloat16 elements by the source."""

NON_GATED = {(128, 6), (512, 22)}
"""(experts, top_k) of Nemotron-H, whose experts have two matrices; all other shapes have three."""


def find_database(source: Path | None = None) -> Path:
    """Return the folder ``systems/data`` of the database.

    Parameters
    ----------
    source
        Folder that holds ``data``; None looks for the installed package.

    Raises
    ------
    TableError
        If there is no such folder; the message says how to get it.
    """
    if source is None:
        spec = find_spec("aiconfigurator_core")
        if spec is None or not spec.submodule_search_locations:
            raise TableError(
                "the kernel database aiconfigurator-core is not installed; "
                "run `pip install 'moesim[kernels]'`."
            )
        source = Path(spec.submodule_search_locations[0]) / "systems"
    data = source / "data"
    if not data.is_dir():
        raise TableError(
            f"{source} holds no folder 'data'; name the folder 'systems' of aiconfigurator-core."
        )
    return data


def read_choice(database: Path, choice: Choice) -> tuple[Rows, list[str]]:
    """Read the rows of one choice, in our columns and units.

    Returns
    -------
    rows
        Columns of the operator's `schema.Operator`, plus ``seconds``.
    files
        Paths of the files they came from, relative to the database.

    Raises
    ------
    TableError
        If the database lacks the file, or the file lacks the dtype.
    """
    family, stem, distil = _FILES[choice.operator]
    folder = database / choice.gpu / family / choice.backend / choice.version
    stems = (stem,) if isinstance(stem, str) else stem
    names = [f"{name}_perf.parquet" for name in stems]
    paths = [folder / name for name in names if (folder / name).is_file()]
    if not paths:
        raise TableError(
            f"{folder} holds no {' or '.join(names)}; is this aiconfigurator-core 0.12.0?"
        )
    parts = [distil(to_rows(pq.read_table(path))) for path in paths]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    keep = rows["dtype"] == choice.dtype
    if choice.kernels:
        keep &= np.array([any(k in s for k in choice.kernels) for s in rows["kernel_source"]])
    if not keep.any():
        raise TableError(f"{paths[0]} holds no {choice.dtype} rows for {choice.operator}.")
    rows = {name: column[keep] for name, column in rows.items()}
    count = len(rows["seconds"])
    rows["backend"] = np.full(count, choice.backend)
    rows["version"] = np.full(count, choice.version)
    return rows, [path.relative_to(database).as_posix() for path in paths]


def _take(raw: Rows, names: dict[str, str], dtype: str, mask: np.ndarray | None = None) -> Rows:
    rows = {ours: raw[theirs] for ours, theirs in names.items()}
    rows["kernel_source"] = raw["kernel_source"]
    rows["dtype"] = raw[dtype]
    rows["seconds"] = raw["latency"] * MS
    return rows if mask is None else {name: column[mask] for name, column in rows.items()}


def _gemm(raw: Rows) -> Rows:
    return _take(raw, {"m": "m", "n": "n", "k": "k"}, "gemm_dtype")


def _experts(raw: Rows) -> Rows:
    return _routed(raw, "balanced")


def _masked_experts(raw: Rows) -> Rows:
    """Take grouped products alone, of rows that a dispatch has sorted by expert."""
    return _routed(raw, "uniform")


def _routed(raw: Rows, distribution: str) -> Rows:
    names = {
        "experts": "num_experts",
        "top_k": "topk",
        "hidden": "hidden_size",
        "inter": "inter_size",
        "tensor_parallel": "moe_tp_size",
        "expert_parallel": "moe_ep_size",
        "tokens": "num_tokens",
    }
    rows = _take(raw, names, "moe_dtype", raw["distribution"] == distribution)
    gated = [pair not in NON_GATED for pair in zip(rows["experts"], rows["top_k"], strict=True)]
    rows["matrices"] = np.where(gated, 3, 2)
    return rows


def _cache_formats(raw: Rows, queries: str) -> np.ndarray:
    """Return a mask of the rows that stand for each format of the cache.

    A bfloat16 cache goes with bfloat16 queries. With an fp8 cache engines turn the queries to fp8
    as well where their kernel can: such rows are taken where the file has them (prefill of trtllm
    and sglang), else those with bfloat16 queries (all decodes, and prefill of vllm).
    """
    same = raw[queries] == raw["kv_cache_dtype"]
    fp8 = raw["kv_cache_dtype"] == "fp8"
    return np.asarray(same if (same & fp8).any() else same | fp8)


_ATTENTION = {"heads": "num_heads", "kv_heads": "num_key_value_heads", "head_dim": "head_dim"}


def _attention(raw: Rows, names: dict[str, str]) -> Rows:
    count = len(raw["latency"])
    raw = raw | {"window": raw.get("window_size", np.zeros(count, dtype=int))}
    raw["context"] = raw["step"] + 1  # the new token attends to itself
    return _take(raw, names, "kv_cache_dtype", _cache_formats(raw, "attn_dtype"))


def _decode(raw: Rows) -> Rows:
    return _attention(
        raw, _ATTENTION | {"window": "window", "context": "context", "batch": "batch_size"}
    )


def _prefill(raw: Rows) -> Rows:
    raw = {name: column[raw["batch_size"] == 1] for name, column in raw.items()}
    return _attention(raw, _ATTENTION | {"window": "window", "tokens": "isl"})


def _latent_decode(raw: Rows) -> Rows:
    raw = raw | {"context": raw["step"] + 1}
    names = {"heads": "num_heads", "context": "context", "batch": "batch_size"}
    return _take(raw, names, "kv_cache_dtype", _cache_formats(raw, "mla_dtype"))


def _latent_prefill(raw: Rows) -> Rows:
    mask = _cache_formats(raw, "mla_dtype") & (raw["batch_size"] == 1)
    return _take(raw, {"heads": "num_heads", "tokens": "isl"}, "kv_cache_dtype", mask)


def _latent_absorb(raw: Rows) -> Rows:
    rows = _take(raw, {"heads": "num_heads", "tokens": "num_tokens"}, "bmm_dtype")
    rows["phase"] = np.where(raw["op_name"] == "mla_gen_pre", "pre", "post")
    return rows


def _all_reduce(raw: Rows) -> Rows:
    raw = raw | {"message": raw["message_size"] * _BF16_BYTES}
    return _take(raw, {"gpus": "num_gpus", "message": "message"}, "allreduce_dtype")


_FILES: dict[str, tuple[str, str | tuple[str, ...], Callable[[Rows], Rows]]] = {
    "gemm": ("gemm", "gemm", _gemm),
    "experts": ("moe", "moe", _experts),
    "masked_experts": ("moe", "wideep_generation_moe", _masked_experts),
    "decode_attention": ("attention", "generation_attention", _decode),
    "prefill_attention": ("attention", "context_attention", _prefill),
    "latent_decode": ("mla", "generation_mla", _latent_decode),
    "latent_prefill": ("mla", "context_mla", _latent_prefill),
    "latent_absorb": ("mla_bmm", "mla_bmm", _latent_absorb),
    "all_reduce": ("comm", "custom_allreduce", _all_reduce),
    "all_to_all": (
        "comm",
        ("moe_a2a", "wideep_deepep_ll", "wideep_deepep_normal"),
        deepep.all_to_all,
    ),
    "nccl": ("comm", "nccl", readers.nccl),
    "linear_decode": ("linear_attention", "gdn", readers.linear_decode),
    "linear_prefill": ("linear_attention", "gdn", readers.linear_prefill),
    "sparse_decode": ("sparse_attention", "dsa_generation_module", readers.sparse_decode),
    "sparse_prefill": ("sparse_attention", "dsa_context_module", readers.sparse_prefill),
}
