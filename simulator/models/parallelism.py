"""How the GPUs of a replica split an architecture: tensor, data, expert and pipeline parallelism.

Tensor parallelism is the Megatron-LM scheme (arXiv 1909.08053): columns of the first and rows of
the second matrix of attention, MLP, shared experts and every routed expert are split; norms, router
and MLA's down-projections are replicated, and so is the indexer of sparse attention. The vocabulary
is padded to divide. A group wider than the number of KV heads replicates them; heads of linear
attention, which have a state each, must divide.

An *attention group* is ``tensor`` GPUs that hold one copy of everything but the routed experts, and
the KV cache of their own share of the requests. The routed experts of a layer are spread over all
the groups of a pipeline stage. vLLM calls this data parallelism with expert parallelism, SGLang DP
attention, TensorRT-LLM attention DP.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

from simulator.errors import ConfigError
from simulator.models.architecture import Architecture, Attention, Moe

COMMON_SIZES = (1, 2, 4, 8)
"""Group sizes that an error message proposes: those of a node."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How one replica is spread over GPUs.

    Parameters
    ----------
    tensor
        GPUs of an attention group: they share its heads, dense layers and vocabulary.
    data
        Attention groups; each has its own share of the requests and their KV cache.
    expert
        GPUs that the experts of a layer are spread over, whole experts each; every expert is split
        over `expert_tensor` GPUs.
    pipeline
        Stages of consecutive layers.

    Raises
    ------
    ConfigError
        If a size is below one, or `expert` does not divide the GPUs of a stage.

    Examples
    --------
    >>> spread = Parallelism(tensor=2, data=4, expert=4)
    >>> spread.gpus, spread.expert_tensor, str(spread)
    (8, 2, 'TP 2, DP 4, EP 4')
    """

    tensor: int = 1
    data: int = 1
    expert: int = 1
    pipeline: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            size = getattr(self, field.name)
            if size < 1:
                raise ConfigError(
                    f"{field.name} parallel size {size} is below one and cannot hold a share."
                )
        if self.stage_gpus % self.expert:
            raise ConfigError(
                f"expert parallel size {self.expert} does not divide the {self.stage_gpus} GPUs "
                f"that share a layer (tensor {self.tensor} x data {self.data}); "
                f"sizes that fit: {_list(_divisors(self.stage_gpus))}."
            )

    @property
    def stage_gpus(self) -> int:
        """GPUs that share one layer."""
        return self.tensor * self.data

    @property
    def gpus(self) -> int:
        """GPUs of the replica."""
        return self.stage_gpus * self.pipeline

    @property
    def expert_tensor(self) -> int:
        """GPUs that each expert is split over."""
        return self.stage_gpus // self.expert

    def __str__(self) -> str:
        """Name the sizes as the field does; those of one are left out, tensor parallel apart."""
        others = {"DP": self.data, "EP": self.expert, "PP": self.pipeline}
        sizes = [f"{name} {size}" for name, size in others.items() if size > 1]
        return ", ".join([f"TP {self.tensor}", *sizes])


SINGLE_GPU = Parallelism()
"""One GPU: nothing is split."""


def stage_layers(layers: int, pipeline: int) -> int:
    """Return the layers of the longest of ``pipeline`` stages.

    Examples
    --------
    >>> stage_layers(61, 4)
    16
    """
    return -(-layers // pipeline)


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


def check_parallelism(arch: Architecture, parallelism: Parallelism) -> None:
    """Refuse sizes that do not fit the architecture.

    Raises
    ------
    ConfigError
        If heads, a feed-forward width, experts or layers do not divide, or a dense model is to have
        experts spread or attention groups; the message lists the sizes that fit.
    """
    _check_tensor(arch, parallelism)
    if arch.moe is None:
        _check_dense(arch, parallelism)
    else:
        _check_experts(arch, arch.moe, parallelism)
    if parallelism.pipeline > arch.layers:
        raise ConfigError(
            f"pipeline parallel size {parallelism.pipeline} leaves stages of {arch.title} without "
            f"a layer; sizes that fit: 1 to {arch.layers}."
        )


def _check_tensor(arch: Architecture, parallelism: Parallelism) -> None:
    # Experts that stay with their attention group are split like its other layers.
    moe = arch.moe if parallelism.data == parallelism.expert == 1 else None
    obstacle = _tensor_obstacle(arch, moe, parallelism.tensor)
    if obstacle is not None:
        fitting = _list(size for size in COMMON_SIZES if _tensor_obstacle(arch, moe, size) is None)
        raise ConfigError(
            f"tensor parallel size {parallelism.tensor} {obstacle} of {arch.title}; "
            f"sizes that fit: {fitting}."
        )


def _tensor_obstacle(arch: Architecture, routed: Moe | None, size: int) -> str | None:
    widths = {"attention.heads": arch.attention.heads}
    if arch.linear is not None:
        keys = {"linear.key_heads": arch.linear.key_heads}
        widths |= keys | {"linear.value_heads": arch.linear.value_heads}
    if arch.dense_layers:
        widths["mlp_inter"] = arch.mlp_inter
    if routed is not None:
        widths["moe.inter"] = routed.inter
    if arch.moe is not None:
        widths["moe.shared_inter"] = arch.moe.shared_inter
    for key, width in widths.items():
        if width % size:
            return f"does not divide {key}={width}"
    kv_heads = arch.attention.kv_heads
    if arch.attention.kind == "gqa" and kv_heads % size and size % kv_heads:
        return f"neither divides nor is a multiple of attention.kv_heads={kv_heads}"
    return None


def _check_dense(arch: Architecture, parallelism: Parallelism) -> None:
    if parallelism.expert > 1:
        raise ConfigError(
            f"expert parallel size {parallelism.expert} has nothing to spread: {arch.title} has no "
            f"experts; sizes that fit: 1."
        )
    if parallelism.data > 1:
        raise ConfigError(
            f"data parallel size {parallelism.data} of the dense {arch.title} makes replicas that "
            f"share nothing; sizes that fit: 1. Use hardware.replicas for more of them."
        )


def _check_experts(arch: Architecture, moe: Moe, parallelism: Parallelism) -> None:
    gpus, size = parallelism.stage_gpus, parallelism.expert
    obstacle = _expert_obstacle(moe, gpus, size)
    if obstacle is not None:
        fitting = _list(s for s in _divisors(gpus) if _expert_obstacle(moe, gpus, s) is None)
        raise ConfigError(
            f"expert parallel size {size} {obstacle} of {arch.title}; sizes that fit {gpus} GPUs: "
            f"{fitting or 'none'}."
        )


def _expert_obstacle(moe: Moe, gpus: int, size: int) -> str | None:
    if moe.experts % size:
        return f"does not divide moe.experts={moe.experts}"
    if moe.inter % (gpus // size):
        return f"splits each expert over {gpus // size} GPUs, which do not divide {moe.inter=}"
    return None


def _divisors(number: int) -> list[int]:
    low = [size for size in range(1, math.isqrt(number) + 1) if number % size == 0]
    return sorted({*low, *(number // size for size in low)})


def _list(sizes: Iterable[int]) -> str:
    return ", ".join(map(str, sizes))
