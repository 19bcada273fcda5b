"""What the rows of DeepEP mean, in our columns. Unlike all other tables they count microseconds.

vLLM (``moe_a2a``)
    DeepEP as vLLM drives it, not in a CUDA graph: a low-latency dispatch of one token takes
    50 us where the kernel alone takes 13. Tokens go in bfloat16, by the time of large messages:
    twice that of the kernels alone.
SGLang (``wideep_deepep_ll``, ``wideep_deepep_normal``)
    The kernels alone, as DeepEP's own tests run them: tokens go in fp8 with a scale per 128, and
    come back in bfloat16. Read so, large messages over InfiniBand reach 0.95 of its peak. The
    normal mode is the one for throughput; its rows are those of 20 of the GPU's processors,
    DeepEP's default, and count the notice that goes before the tokens. Left out are its rows of
    eight nodes: they move 21 GB/s a card, where four nodes move 47 over the same cards, the
    low-latency kernels 47 over eight nodes, and DeepEP's README reports 50. Rows over nodes are the
    same on H100 and H200: the source holds one measurement twice.
"""

from __future__ import annotations

import numpy as np

from simulator.kernels.schema import Rows
from simulator.units import US

_PROCESSORS = 20
"""Streaming multiprocessors of the normal mode: the default of DeepEP, and of vLLM."""

_CONGESTED_NODES = 8
"""Nodes over which the normal mode was measured on a network that did not hold."""

_SUPERCHIP_GPUS, _NODE_GPUS = 4, 8
"""GPUs of one node: of Grace and Blackwell together, and of all others."""


def all_to_all(raw: Rows) -> Rows:
    """Dispatches and combines of one file, whichever of the three it is."""
    if "comm_backend" in raw:
        return _driven(raw)
    return _kernels(raw)


def _driven(raw: Rows) -> Rows:
    names = {"gpus": "ep_size", "nodes": "node_num", "top_k": "topk", "tokens": "num_tokens"}
    names |= {"mode": "comm_backend", "phase": "phase"}
    rows = _columns(raw, names)
    return rows | {"seconds": raw["latency"] * US}


def _kernels(raw: Rows) -> Rows:
    normal = "dispatch_sms" in raw
    if normal:
        keep = (raw["dispatch_sms"] == _PROCESSORS) & (raw["combine_sms"] == _PROCESSORS)
        keep &= raw["node_num"] != _CONGESTED_NODES
        raw = {name: column[keep] for name, column in raw.items()}
    superchip = np.char.startswith(raw["device"].astype(str), "NVIDIA GB")
    node_gpus = np.where(superchip, _SUPERCHIP_GPUS, _NODE_GPUS)
    raw = raw | {"gpus": raw["node_num"] * node_gpus}
    raw["mode"] = np.full(len(node_gpus), "deepep_ht" if normal else "deepep_ll")
    names = {"gpus": "gpus", "nodes": "node_num", "top_k": "num_topk", "tokens": "num_token"}
    parts = []
    for phase in ("dispatch", "combine"):
        part = _columns(raw, names | {"mode": "mode"})
        part["phase"] = np.full(len(node_gpus), phase)
        if normal:
            part["seconds"] = (raw[f"{phase}_notify_us"] + raw[f"{phase}_transmit_us"]) * US
        else:
            part["seconds"] = raw[f"{phase}_avg_t_us"] * US
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _columns(raw: Rows, names: dict[str, str]) -> Rows:
    names = names | {"hidden": "hidden_size", "experts": "num_experts"}
    rows = {ours: raw[theirs] for ours, theirs in names.items()}
    rows["kernel_source"] = raw["kernel_source"]
    rows["dtype"] = np.full(len(raw["kernel_source"]), "bfloat16")
    return rows
