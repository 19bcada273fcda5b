"""How a tensor-parallel group splits an architecture (the Megatron-LM scheme, arXiv 1909.08053).

Columns of the first and rows of the second matrix of attention, MLP, shared experts and every
routed expert are split; norms, router and MLA's down-projections are replicated. The vocabulary is
padded to divide. A group wider than the number of KV heads replicates them.
"""

from __future__ import annotations

from simulator.errors import ConfigError
from simulator.models.architecture import Architecture, Attention

COMMON_SIZES = (1, 2, 4, 8)
"""Group sizes that an error message proposes: those of a node."""


def local_kv_heads(attention: Attention, tensor_parallel: int) -> int:
    """Return the KV heads one GPU holds: its share, at least one."""
    return max(1, attention.kv_heads // tensor_parallel)


def local_vocab(vocab: int, tensor_parallel: int) -> int:
    """Return the vocabulary rows one GPU holds, padding included.

    Examples
    --------
    >>> local_vocab(50257, 4)
    12565
    """
    return -(-vocab // tensor_parallel)


def check_parallelism(arch: Architecture, tensor_parallel: int) -> None:
    """Refuse a tensor-parallel size that does not divide the architecture.

    Raises
    ------
    ConfigError
        If it is below one, or heads or a feed-forward width do not divide; the message lists the
        sizes that fit.
    """
    obstacle = _obstacle(arch, tensor_parallel)
    if obstacle is None:
        return
    fitting = ", ".join(str(size) for size in COMMON_SIZES if _obstacle(arch, size) is None)
    raise ConfigError(
        f"tensor parallel size {tensor_parallel} {obstacle} of {arch.title}; "
        f"sizes that fit: {fitting}."
    )


def _obstacle(arch: Architecture, size: int) -> str | None:
    if size < 1:
        return "is below one and cannot hold a share"
    widths = {"attention.heads": arch.attention.heads}
    if arch.dense_layers:
        widths["mlp_inter"] = arch.mlp_inter
    if arch.moe is not None:
        widths |= {"moe.inter": arch.moe.inter, "moe.shared_inter": arch.moe.shared_inter}
    for key, width in widths.items():
        if width % size:
            return f"does not divide {key}={width}"
    kv_heads = arch.attention.kv_heads
    if arch.attention.kind == "gqa" and kv_heads % size and size % kv_heads:
        return f"neither divides nor is a multiple of attention.kv_heads={kv_heads}"
    return None
