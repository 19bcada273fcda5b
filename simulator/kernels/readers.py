"""What the rows of collectives, linear attention and sparse attention mean, in our columns.

Each function turns the raw columns of one file of the source database into the columns of one
`schema.Operator`; files are found, and rows of one format kept, by `sources`.

NCCL (``nccl_perf``)
    Rows of nccl-tests: the message is the whole buffer of one GPU, in elements of the format. That
    is what an all-gather leaves and a reduce-scatter starts from, and what each GPU sends, its own
    share included, in an all-to-all: the bytes moved over the links per time stay below their
    peak only under that reading.
Gated delta net (``gdn_perf``)
    Convolution with its activation, and delta rule with its gates, as kernels of their own. Neither
    projections nor the gated norm are in. Heads are those of one GPU. Activations are bfloat16; the
    state is float32, by the time it takes to read and write it (0.75 to 0.90 of peak bandwidth).
Sparse attention (``dsa_generation_module``, ``dsa_context_module``)
    The whole attention module of a layer: down- and up-projections, indexer, attention, output
    projection, norms and rotation between them; no all-reduce. Products are in bfloat16 here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.schema import Rows
from simulator.units import MS

_NCCL_BYTES = {"half": 2, "int8": 1}
_GRAPH_BATCH = 256
"""Largest batch that SGLang captured in a CUDA graph; beyond, its modules ran four to ten times
longer: kernel by kernel, waiting for the host."""


def nccl(raw: Rows) -> Rows:
    """NCCL's collectives inside one node."""
    width = np.array([_NCCL_BYTES[name] for name in raw["nccl_dtype"].tolist()])
    raw = raw | {"message": raw["message_size"] * width}
    rows = _take(raw, {"gpus": "num_gpus", "message": "message"}, raw["nccl_dtype"])
    rows["collective"] = np.where(raw["op_name"] == "alltoall", "all_to_all", raw["op_name"])
    return rows


_DELTA_HEADS = {"key_heads": "num_k_heads", "value_heads": "num_v_heads", "batch": "batch_size"}


def linear_decode(raw: Rows) -> Rows:
    """One token of every request through convolution and delta rule."""
    return _delta_net(_filtered(raw, raw["phase"] == "generation"), _DELTA_HEADS)


def linear_prefill(raw: Rows) -> Rows:
    """Prompts of equal length through convolution and delta rule."""
    names = _DELTA_HEADS | {"tokens": "seq_len"}
    return _delta_net(_filtered(raw, raw["phase"] == "context"), names)


def _delta_net(raw: Rows, names: dict[str, str]) -> Rows:
    rows = _take(raw, names, np.full(len(raw["latency"]), "bfloat16"))
    convolution = np.char.find(rows["kernel_source"].astype(str), "conv1d") >= 0
    rows["part"] = np.where(convolution, "convolution", "rule")
    return rows


def sparse_decode(raw: Rows) -> Rows:
    """One token of every request through an attention module."""
    raw = _module(raw)
    raw = raw | {"context": raw["step"] + 1}  # the new token attends to itself
    eager = (raw["framework"] == "SGLang") & (raw["batch_size"] > _GRAPH_BATCH)
    raw = _filtered(raw, ~eager)
    contexts, where = np.unique(raw["context"], return_inverse=True)
    batches = np.array([len(set(raw["batch_size"][where == i])) for i in range(len(contexts))])
    raw = _filtered(raw, batches[where] > 1)
    return _named(raw, {"heads": "num_heads", "context": "context", "batch": "batch_size"})


def sparse_prefill(raw: Rows) -> Rows:
    """One whole prompt through an attention module."""
    raw = _module(raw)
    raw = _filtered(raw, (raw["batch_size"] == 1) & (raw["step"] == 0))
    return _named(raw, {"heads": "num_heads", "tokens": "isl"})


def _module(raw: Rows) -> Rows:
    plain = np.isin(raw["op_name"], ("dsa_generation_module", "dsa_context_module"))
    return _filtered(raw, plain & (raw["gemm_type"] == "bfloat16"))


def _named(raw: Rows, names: dict[str, str]) -> Rows:
    return _take(raw, names, raw["kv_cache_dtype"]) | {"architecture": raw["architecture"]}


def _filtered(raw: Rows, keep: NDArray[np.bool_]) -> Rows:
    return {name: column[keep] for name, column in raw.items()}


def _take(raw: Rows, names: dict[str, str], dtype: NDArray[np.str_]) -> Rows:
    rows = {ours: raw[theirs] for ours, theirs in names.items()}
    rows["kernel_source"] = raw["kernel_source"]
    rows["dtype"] = dtype
    rows["seconds"] = raw["latency"] * MS
    return rows
