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

Experts and their *redundant* replicas lie in the *slots* of a layer, as many on each GPU (vLLM's
``num_redundant_experts``, SGLang's ``--ep-num-redundant-experts``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from simulator.errors import ConfigError
from simulator.models.architecture import Architecture, Attention, Moe

COMMON_SIZES = (1, 2, 4, 8)
"""Group sizes that an error message proposes: those of a node."""

ALLGATHER = "allgather_reducescatter"
"""Every GPU gets the tokens of all attention groups, and their results are summed."""

LOW_LATENCY = "deepep_low_latency"
"""Every copy of a token goes straight to the GPU of its expert, sorted by expert."""

ALL2ALL_BACKENDS = (ALLGATHER, "deepep_high_throughput", LOW_LATENCY)
"""How tokens get to their experts and back, by vLLM's names; DeepEP sends to chosen ones only."""


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
    redundant
        Replicas of experts in a layer, beside the experts themselves.
    all2all_backend
        One of `ALL2ALL_BACKENDS`.

    Raises
    ------
    ConfigError
        If a size is below one, `expert` does not divide the GPUs of a stage, replicas have no GPUs
        to be spread over, or a backend has nothing to send.

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
    redundant: int = 0
    all2all_backend: str = ALLGATHER

    def __post_init__(self) -> None:
        for name in ("tensor", "data", "expert", "pipeline"):
            size = getattr(self, name)
            if size < 1:
                raise ConfigError(
                    f"{name} parallel size {size} is below one and cannot hold a share."
                )
        if self.stage_gpus % self.expert:
            raise ConfigError(
                f"expert parallel size {self.expert} does not divide the {self.stage_gpus} GPUs "
                f"that share a layer (tensor {self.tensor} x data {self.data}); "
                f"sizes that fit: {_list(_divisors(self.stage_gpus))}."
            )
        self._check_redundant()
        self._check_backend()

    def _check_redundant(self) -> None:
        if self.redundant < 0:
            raise ConfigError(f"experts.redundant={self.redundant} must be at least 0.")
        if self.redundant and self.expert == 1:
            raise ConfigError(
                f"experts.redundant={self.redundant} replicas have no effect where experts are not "
                f"spread; set hardware.expert_parallel, or experts.redundant=0."
            )

    def _check_backend(self) -> None:
        """Refuse a backend without groups to send between, or without whole experts to send to."""
        name, setting = self.all2all_backend, "hardware.all2all_backend"
        if name == ALLGATHER:
            return
        if self.data == 1:
            raise ConfigError(
                f"{setting}={name} has no effect with one attention group, whose GPUs all see its "
                f"tokens; raise hardware.data_parallel, or take {setting}={ALLGATHER}."
            )
        if self.expert_tensor > 1:
            raise ConfigError(
                f"{setting}={name} sends tokens to whole experts, but each is split over "
                f"{self.expert_tensor} GPUs; set hardware.expert_parallel={self.stage_gpus}, or "
                f"take {setting}={ALLGATHER}."
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
        if self.redundant:
            sizes.append(f"{self.redundant} redundant experts")
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
    gpus, size, redundant = parallelism.stage_gpus, parallelism.expert, parallelism.redundant
    obstacle = _expert_obstacle(moe, gpus, size, redundant)
    if obstacle is not None:
        fitting = _list(s for s in _divisors(gpus) if not _expert_obstacle(moe, gpus, s, redundant))
        raise ConfigError(
            f"expert parallel size {size} {obstacle} of {arch.title}; sizes that fit {gpus} GPUs: "
            f"{fitting or 'none'}.{_fill(moe, parallelism)}"
        )
    most = moe.experts * (size - 1)
    if redundant > most:
        raise ConfigError(
            f"experts.redundant={redundant} exceeds {most}: a GPU has no use for two replicas of "
            f"one of the {moe.experts} experts of {arch.title}; lower it."
        )


def _expert_obstacle(moe: Moe, gpus: int, size: int, redundant: int) -> str | None:
    slots = moe.experts + redundant
    beside = f" and experts.redundant={redundant}" if redundant else ""
    if size > slots:
        return f"leaves GPUs without any of moe.experts={moe.experts}{beside}"
    if slots % size:
        return f"does not divide moe.experts={moe.experts}{beside}"
    if moe.inter % (gpus // size):
        return f"splits each expert over {gpus // size} GPUs, which do not divide {moe.inter=}"
    return None


def _fill(moe: Moe, parallelism: Parallelism) -> str:
    """Propose the fewest replicas that give every GPU as many experts."""
    size = parallelism.expert
    redundant = -moe.experts % size
    wanted = replace(parallelism, redundant=redundant)
    if size == 1 or _expert_obstacle(moe, wanted.stage_gpus, size, redundant):
        return ""
    each = (moe.experts + redundant) // size
    return f" Or let replicas fill up the GPUs, {each} each: experts.redundant={redundant}."


def _divisors(number: int) -> list[int]:
    low = [size for size in range(1, math.isqrt(number) + 1) if number % size == 0]
    return sorted({*low, *(number // size for size in low)})


def _list(sizes: Iterable[int]) -> str:
    return ", ".join(map(str, sizes))
