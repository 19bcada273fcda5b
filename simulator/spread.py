"""How a replica is spread over GPUs: chosen, or checked against model, node and memory."""

from __future__ import annotations

import math

from simulator.config import Config, HardwareConfig
from simulator.costs.engine import Engine
from simulator.costs.memory import plan_memory
from simulator.costs.offload import spared_bytes
from simulator.drafting import check_own_memory
from simulator.errors import CapacityError, ConfigError, SimulatorError
from simulator.experts.config import OffloadConfig
from simulator.hardware.gpu import Gpu
from simulator.hardware.topology import Topology
from simulator.models.drafters import Drafter
from simulator.models.parallelism import COMMON_SIZES, Parallelism, check_parallelism
from simulator.units import GIGA
from simulator.workload.requests import Workload

RESIDENT_REQUESTS = 8
"""Longest requests that must fit at once when the GPU count is chosen (kind: assumed)."""


def spread_replica(
    config: Config,
    gpu: Gpu,
    engine: Engine,
    drafter: Drafter | None,
    workload: Workload,
    topology: Topology | None = None,
) -> Parallelism:
    """Choose or check how a replica is spread over GPUs.

    Parameters
    ----------
    config
        With ``hardware.tensor_parallel``, or null for the fewest GPUs that hold the model and
        `RESIDENT_REQUESTS`.
    gpu, engine
        Where it runs, and what the engine reserves.
    drafter
        Loaded beside the model; None for none.
    workload
        Bounds the longest request, which must fit.
    topology
        Where the replica lies; None for nodes apart, one for each stage.

    Raises
    ------
    ConfigError
        If sizes do not fit model or node, or a request does not fit the cache.
    """
    longest = _longest_tokens(config, workload)
    chosen = config.hardware.tensor_parallel
    if chosen is not None:
        return _check_spread(config, gpu, engine, drafter, topology, chosen, longest)
    failure: SimulatorError | None = None
    reasons = []
    reach, several = (
        gpu.node_gpus if topology is None else topology.gpus,
        RESIDENT_REQUESTS * longest,
    )
    for size in COMMON_SIZES:
        if failure and size * config.hardware.data_parallel > reach:
            break
        try:
            return _check_spread(config, gpu, engine, drafter, topology, size, several)
        except ConfigError as error:
            failure = error
            reasons.append(str(error.__cause__ or error))
    if len(reasons) > 1 and len(set(reasons)) == 1:  # another setting is wrong, at any size
        raise ConfigError(reasons[0]) from failure
    raise CapacityError(
        f"{config.model.title} fits no tensor-parallel group of up to {gpu.node_gpus} "
        f"{gpu.title}: {failure}"
    )


def _longest_tokens(config: Config, workload: Workload) -> int:
    """Return the KV slots that the longest request may take: whole blocks, draft included."""
    tokens = workload.max_prompt_tokens + workload.max_output_tokens
    tokens += config.speculation.draft_tokens
    block = config.scheduler.block_tokens
    return -(-tokens // block) * block


def _check_spread(
    config: Config,
    gpu: Gpu,
    engine: Engine,
    drafter: Drafter | None,
    topology: Topology | None,
    size: int,
    tokens: int,
) -> Parallelism:
    """Refuse sizes that do not fit model or GPUs, or leave an attention group too little cache."""
    hardware = config.hardware
    settings = _settings(hardware, size)
    try:
        parallelism = Parallelism(
            size,
            hardware.data_parallel,
            hardware.expert_parallel,
            hardware.pipeline_parallel,
            config.experts.redundant,
            hardware.all2all_backend,
        )
        check_reach(gpu, parallelism, topology)
        check_parallelism(config.model, parallelism)
    except ConfigError as error:
        raise ConfigError(f"{_overrides(settings)}: {error}") from error
    seqs, own = config.scheduler.max_num_seqs, config.speculation.drafter_gpus == "own"
    memory = plan_memory(
        gpu,
        engine,
        config.model,
        drafter,
        parallelism,
        max_num_seqs=seqs,
        draft_tokens=config.speculation.draft_tokens,
        own_gpus=own,
        offload=config.experts.offload,
    )
    if drafter is not None and memory.drafter is not None:
        check_own_memory(gpu, drafter, memory.drafter, tokens)
    if memory.kv_capacity_tokens < tokens:
        with_drafter = f" with drafter {drafter.title}" if drafter and not own else ""
        what = config.model.title + with_drafter
        state = (
            f" and state of scheduler.max_num_seqs={seqs} requests" if memory.state_bytes else ""
        )
        held_bytes = memory.weight_bytes + memory.state_bytes
        short_bytes = held_bytes + tokens * memory.kv_bytes_per_token - memory.usable_bytes
        raise CapacityError(
            f"{what} needs {held_bytes / GIGA:.1f} GB of weights{state} per GPU at "
            f"{_overrides(settings)}; {gpu.title} offers {memory.usable_bytes / GIGA:.1f} GB, "
            f"which leaves {memory.kv_capacity_tokens} tokens of KV cache where {tokens} are "
            f"needed. Use more or larger GPUs, {_fewer_experts(config, parallelism, short_bytes)}"
            f"or shorter requests (workload.max_prompt_tokens, workload.max_output_tokens)."
        )
    return parallelism


def _fewer_experts(config: Config, parallelism: Parallelism, short_bytes: float) -> str:
    """Name the experts of a layer that fit where bytes are short; nothing where too few would."""
    moe, offload = config.model.moe, config.experts.offload
    if moe is None or parallelism.expert > 1:
        return ""
    all_but_one = OffloadConfig(resident_experts=moe.experts - 1)
    each_bytes = spared_bytes(config.model, parallelism, all_but_one)
    held = moe.experts if offload is None else offload.resident_experts
    fitting = held - math.ceil(short_bytes / each_bytes)
    if fitting < moe.top_k:
        return ""
    return f"experts in host memory (experts.offload={{resident_experts:{fitting}}}), "


def check_reach(gpu: Gpu, parallelism: Parallelism, topology: Topology | None) -> None:
    """Refuse a replica that reaches beyond its node or its topology.

    Without a topology the stages of a pipeline may lie on different nodes, but none on several.

    Raises
    ------
    ConfigError
        If it does, fills no whole nodes, or an attention group lies astride two of them.
    """
    if topology is None:
        if parallelism.stage_gpus > gpu.node_gpus:
            raise ConfigError(
                f"{parallelism.stage_gpus} GPUs share a layer, which exceeds the {gpu.node_gpus} "
                f"GPUs of one {gpu.title} node. Say how nodes are joined: hardware.topology=NAME "
                f"with at least {parallelism.gpus} GPUs (moesim list topologies)."
            )
        return
    if parallelism.gpus > topology.gpus:
        raise ConfigError(
            f"the replica takes {parallelism.gpus} GPUs, but hardware.topology={topology.name} has "
            f"{topology.gpus}. Take a larger one (moesim list topologies), or a file of your own: "
            f"a copy of it with gpus raised."
        )
    node, group = topology.island_gpus, parallelism.tensor
    if parallelism.stage_gpus > node and parallelism.stage_gpus % node:
        raise ConfigError(
            f"{parallelism.stage_gpus} GPUs share a layer, which fill no nodes of {node} on "
            f"hardware.topology={topology.name}. Take a multiple of {node}, or fewer."
        )
    if parallelism.stage_gpus > node and node % group and group % node:
        raise ConfigError(
            f"attention groups of {group} GPUs would lie astride nodes of {node} on "
            f"hardware.topology={topology.name}. Take a tensor parallel size that divides {node}."
        )


def _settings(hardware: HardwareConfig, tensor_parallel: int) -> dict[str, int]:
    """Return the sizes of a replica by setting, in the order of `Parallelism`."""
    return {
        "tensor_parallel": tensor_parallel,
        "data_parallel": hardware.data_parallel,
        "expert_parallel": hardware.expert_parallel,
        "pipeline_parallel": hardware.pipeline_parallel,
    }


def _overrides(settings: dict[str, int]) -> str:
    """Write sizes as on the command line; those of one are left out, tensor parallel apart."""
    shown = [key for key in settings if settings[key] > 1 or key == "tensor_parallel"]
    return " ".join(f"hardware.{key}={settings[key]}" for key in shown)
