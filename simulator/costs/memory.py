"""How much KV cache the GPUs of a replica have left beside the weights."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.costs.engine import Engine
from simulator.costs.offload import spared_bytes
from simulator.experts.config import OffloadConfig
from simulator.hardware.gpu import Gpu
from simulator.models.architecture import Architecture
from simulator.models.drafters import Drafter, drafter_kv_bytes_per_token, drafter_weight_bytes
from simulator.models.parallelism import Parallelism
from simulator.models.parameters import (
    kv_bytes_per_token,
    state_bytes_per_request,
    weight_bytes,
)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Memory of the fullest GPU of an attention group (a separate drafter sits on one of them).

    With a pipeline that is a GPU of the longest stage, and the drafter is taken to sit there.

    Parameters
    ----------
    usable_bytes
        What the engine may use: memory less its reserves.
    weight_bytes
        Target and drafter weights.
    state_bytes
        State of linear attention, of as many requests as a group may run at once. TensorRT-LLM and
        SGLang set it aside like this; vLLM takes it from the cache as requests come, so has more
        cache left while few run.
    kv_bytes_per_token
        Cache of one token of the group's requests, the drafter's included.
    drafter
        Memory of a GPU that the drafter has for itself; None where it has none.
    """

    usable_bytes: float
    weight_bytes: float
    state_bytes: float
    kv_bytes_per_token: float
    drafter: MemoryPlan | None = None

    @property
    def kv_capacity_tokens(self) -> int:
        """KV cache entries that a group can hold; 0 when not even the weights fit.

        What the target holds the drafter must hold as well, on whichever GPU.
        """
        left_bytes = self.usable_bytes - self.weight_bytes - self.state_bytes
        tokens = max(0, int(left_bytes / self.kv_bytes_per_token))
        return tokens if self.drafter is None else min(tokens, self.drafter.kv_capacity_tokens)


def plan_memory(
    gpu: Gpu,
    engine: Engine,
    target: Architecture,
    drafter: Drafter | None,
    parallelism: Parallelism,
    *,
    max_num_seqs: int,
    draft_tokens: int,
    own_gpus: bool = False,
    offload: OffloadConfig | None = None,
) -> MemoryPlan:
    """Lay out the memory of one GPU.

    Parameters
    ----------
    gpu, engine
        Capacity, and the reserves the engine keeps.
    target, drafter
        Models held; no drafter for plain decoding.
    parallelism
        How the replica is spread over GPUs.
    max_num_seqs
        Requests that an attention group may run at once.
    draft_tokens
        Tokens of a draft: gamma, or the nodes of a tree.
    own_gpus
        Whether the drafter, a separate model, has GPUs of its own, as many as it is split over.
    offload
        Which of the target's experts are on the GPUs; None: all.

    Raises
    ------
    ConfigError
        If a size does not fit a model.
    """
    usable = gpu.memory_bytes * (1.0 - engine.memory_reserve) - engine.activation_reserve_bytes
    weights = weight_bytes(target, parallelism)
    if offload is not None:
        weights -= spared_bytes(target, parallelism, offload)
    kv_bytes = kv_bytes_per_token(target, parallelism)
    beside: MemoryPlan | None = None
    if drafter is not None and own_gpus:
        alone = Parallelism(drafter.tensor_parallel)
        beside = MemoryPlan(
            usable,
            drafter_weight_bytes(drafter, target, alone),
            0.0,
            drafter_kv_bytes_per_token(drafter, target, alone),
        )
    elif drafter is not None:
        weights += drafter_weight_bytes(drafter, target, parallelism)
        kv_bytes += drafter_kv_bytes_per_token(drafter, target, parallelism)
    state_bytes = max_num_seqs * state_bytes_per_request(target, parallelism, draft_tokens)
    return MemoryPlan(usable, weights, state_bytes, kv_bytes, beside)
