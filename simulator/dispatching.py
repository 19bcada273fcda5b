"""How the loads of experts are drawn in a run, and what dispatch runs over."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from simulator.config import Config
from simulator.costs.compiled import CompiledSteps
from simulator.costs.exchanged import ExchangedBytes
from simulator.costs.layer_times import LayerTimes
from simulator.costs.sampled import ExpertPrices, SampledSteps
from simulator.costs.stalling import StallingSteps
from simulator.costs.step import StepModel
from simulator.errors import ConfigError, TableError
from simulator.experts.draws import WalkedLoads
from simulator.experts.loads import count_experts
from simulator.experts.offload import StoredWalk
from simulator.experts.placement import contiguous
from simulator.experts.pool import PoolWalk, RoutePool
from simulator.experts.sampling import Archetype, measured_archetype, sample_routing
from simulator.hardware.gpu import Gpu
from simulator.hardware.topology import Topology, load_topology, topology_names
from simulator.models.parallelism import Parallelism
from simulator.serving.deployment import DispatchPlan, Taken
from simulator.serving.replica import StepTimes
from simulator.streams import Streams

_SEQUENCES, _TOKENS = 128, 32
"""Sequences of a pool of routes, and their tokens."""


def dispatch_plan(
    config: Config, gpu: Gpu, model: StepModel, costs: Sequence[CompiledSteps]
) -> DispatchPlan | None:
    """Return how loads are drawn and dispatch is followed; None where closed forms do.

    Parameters
    ----------
    config
        With the group ``experts``.
    gpu, model
        Of the replicas.
    costs
        Their step costs by closed forms.

    Raises
    ------
    ConfigError
        If there are no experts, or no links to follow.
    """
    experts = config.experts
    if not experts.drawn:
        return None
    spread = model.parallelism
    prices = ExpertPrices(model)
    exchanged = ExchangedBytes(model.target.operators, spread.expert)
    parts = 2 if experts.two_batch_overlap else 1

    def new_steps(streams: Streams, replica: int, taken: Taken) -> Sequence[StepTimes]:
        """Return the step costs of a replica, all with the same draws."""
        draws = _draws(config, model, streams, replica)
        drawn = [
            SampledSteps(
                steps,
                prices,
                draws,
                taken,
                layers=LayerTimes(model, steps) if experts.events else None,
                parts=parts,
            )
            for steps in costs
        ]
        if model.offload is None or not isinstance(draws.walk, StoredWalk):
            return drawn
        return [StallingSteps(steps, draws.walk, model.offload) for steps in drawn]

    topology = None
    if experts.events and config.cluster.topology is None:
        topology = replica_topology(config, gpu, spread)
    return DispatchPlan(
        new_steps=new_steps,
        exchanged=exchanged,
        ranks=spread.expert,
        events=experts.events,
        parts=parts,
        topology=topology,
        loads_every=experts.loads_every,
        links_interval_s=experts.links_interval_s,
    )


def check_drawn(config: Config, gpu: Gpu, spread: Parallelism) -> None:
    """Refuse a fidelity that a model or its spread has no use for.

    Raises
    ------
    ConfigError
        If the model has no experts, stages of a pipeline would have to be followed, or there are
        no links to follow.
    """
    experts = config.experts
    if not experts.drawn:
        return
    if config.model.moe is None:
        raise ConfigError(
            f"experts.fidelity={experts.fidelity} draws loads of experts, but {config.model.title} "
            "has none; set experts.fidelity=expected."
        )
    if experts.events and spread.pipeline > 1:
        raise ConfigError(
            f"experts.fidelity=event follows the GPUs of one stage, but "
            f"hardware.pipeline_parallel={spread.pipeline}; set it to 1, or take "
            "experts.fidelity=sampled."
        )
    if experts.two_batch_overlap and spread.data == 1:
        raise ConfigError(
            "experts.two_batch_overlap=true hides the exchange between attention groups, but there "
            "is one group; raise hardware.data_parallel, or set it to false."
        )
    if experts.events and config.cluster.topology is None:
        replica_topology(config, gpu, spread)


def replica_topology(config: Config, gpu: Gpu, spread: Parallelism) -> Topology:
    """Return the links of a replica: those that were chosen, or the shipped node of its NVLink.

    Raises
    ------
    ConfigError
        If no shipped node has NVLink of that width and enough GPUs.
    """
    if config.hardware.topology is not None:
        try:
            return load_topology(config.hardware.topology)
        except TableError as error:
            raise ConfigError(f"hardware.topology={config.hardware.topology}: {error}") from error
    width = (gpu.nvlink_bandwidth or 0.0) / 2  # of both directions
    for name in topology_names():
        if name.startswith("nvswitch_"):
            node = load_topology(name)
            if node.gpus >= spread.gpus and node.capacities[0] == width:
                return node
    raise ConfigError(
        f"experts.fidelity=event needs the links between {spread.gpus} x {gpu.title}, and no "
        "shipped node has its NVLink; set hardware.topology (moesim list topologies)."
    )


def _draws(config: Config, model: StepModel, streams: Streams, replica: int) -> WalkedLoads:
    """Return the loads of a replica's steps."""
    moe = config.model.moe
    if moe is None:
        raise ConfigError(f"{config.model.title} has no experts.")
    archetype = Archetype(experts=moe.experts, top_k=moe.top_k)
    if config.routing.law != "uniform":
        try:
            archetype = measured_archetype(config.model.name).archetype
        except TableError:
            pass  # none is known: tokens route alone
    pool = _pool(archetype, config.model.moe_layers, config.run.seed)
    walk = PoolWalk(pool, streams, replica=replica)
    if model.offload is not None:
        store = model.offload.store(
            count_experts(pool.chosen.reshape(pool.layers, -1), pool.experts)
        )
        walk = StoredWalk(pool, streams, replica=replica, store=store)
    return WalkedLoads(walk, contiguous(moe.experts, model.parallelism.expert))


@cache
def _pool(archetype: Archetype, layers: int, seed: int) -> RoutePool:
    streams = Streams(seed)
    routes = [
        sample_routing(archetype, _SEQUENCES, _TOKENS, streams, layer) for layer in range(layers)
    ]
    kind = np.uint8 if archetype.experts <= 256 else np.uint16
    chosen = np.stack(routes).astype(kind).reshape(layers, -1, archetype.top_k)
    return RoutePool(archetype.experts, chosen, np.full(_SEQUENCES, _TOKENS))
