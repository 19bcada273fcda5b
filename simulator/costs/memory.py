"""How much KV cache a replica has left beside the weights."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.costs.engine import Engine
from simulator.hardware.gpu import Gpu
from simulator.models.architecture import Architecture
from simulator.models.drafters import Drafter, drafter_kv_bytes_per_token, drafter_weight_bytes
from simulator.models.parameters import kv_bytes_per_token, weight_bytes


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Memory of the fullest GPU of a replica (a separate drafter sits on one of them).

    Parameters
    ----------
    usable_bytes
        What the engine may use: memory less its reserves.
    weight_bytes
        Target and drafter weights.
    kv_bytes_per_token
        Cache of one token, the drafter's included.
    """

    usable_bytes: float
    weight_bytes: float
    kv_bytes_per_token: float

    @property
    def kv_capacity_tokens(self) -> int:
        """KV cache entries that fit; 0 when not even the weights do."""
        return max(0, int((self.usable_bytes - self.weight_bytes) / self.kv_bytes_per_token))


def plan_memory(
    gpu: Gpu, engine: Engine, target: Architecture, drafter: Drafter | None, tensor_parallel: int
) -> MemoryPlan:
    """Lay out the memory of one GPU.

    Parameters
    ----------
    gpu, engine
        Capacity, and the reserves the engine keeps.
    target, drafter
        Models held; no drafter for plain decoding.
    tensor_parallel
        GPUs that share the replica.

    Raises
    ------
    ConfigError
        If the group size does not divide a model.
    """
    usable = gpu.memory_bytes * (1.0 - engine.memory_reserve) - engine.activation_reserve_bytes
    weights = weight_bytes(target, tensor_parallel)
    kv_bytes = kv_bytes_per_token(target, tensor_parallel)
    if drafter is not None:
        weights += drafter_weight_bytes(drafter, target, tensor_parallel)
        kv_bytes += drafter_kv_bytes_per_token(drafter, target, tensor_parallel)
    return MemoryPlan(usable, weights, kv_bytes)
