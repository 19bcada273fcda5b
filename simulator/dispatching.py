"""How the loads of experts are drawn in a run, and what dispatch runs over."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from simulator.config import Config
from simulator.costs.compiled import CompiledSteps
from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.costs.layer_times import LayerTimes
from simulator.costs.offload import ExpertTransfers
from simulator.costs.sampled import ExpertPrices, SampledSteps
from simulator.costs.step import StepModel
from simulator.costs.stored_loads import StoredLoads
from simulator.errors import ConfigError, TableError
from simulator.experts.draws import LoadDraws, WalkedLoads
from simulator.experts.loads import count_experts
from simulator.experts.placement import Placement
from simulator.experts.placement_kinds import check_placement, place_experts
from simulator.experts.pool import PoolWalk
from simulator.experts.rebalancing import Rebalancing, moves, moving_s
from simulator.experts.routes import Routes, check_routes, routes_of
from simulator.hardware.gpu import Gpu
from simulator.hardware.topology import Topology, load_topology, topology_names
from simulator.models.architecture import Architecture, experts_of
from simulator.models.parallelism import Parallelism
from simulator.models.parameters import expert_bytes
from simulator.serving.deployment import DispatchPlan, Taken
from simulator.serving.replica import StepTimes
from simulator.streams import Streams


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
    routes = routes_of(config.routing, config.model, config.run.seed)
    exchanged = ExchangedBytes(model.target.operators, spread.expert, model.target.topology)
    parts = 2 if experts.two_batch_overlap else 1

    def new_steps(streams: Streams, replica: int, taken: Taken) -> Sequence[StepTimes]:
        """Return the step costs of a replica, all with the same draws."""
        draws: LoadDraws
        if model.offload is None:
            draws = _draws(config, gpu, spread, routes, streams, replica)
        else:
            draws = _stored_loads(routes, model.offload, streams, replica)
        return [
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
    moe = config.model.moe
    if moe is None:
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
    check_placement(experts, moe, spread.expert, config.model.moe_layers)
    check_routes(config.routing, config.model)
    if experts.rebalance_period_s or (experts.events and config.cluster.topology is None):
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
        f"experts.fidelity={config.experts.fidelity} needs the links between {spread.gpus} x "
        f"{gpu.title}, and no shipped node has its NVLink; set hardware.topology (moesim list "
        f"topologies)."
    )


def _draws(
    config: Config,
    gpu: Gpu,
    spread: Parallelism,
    routes: Routes,
    streams: Streams,
    replica: int,
) -> LoadDraws:
    """Return the loads of a replica's steps."""
    model, experts = config.model, config.experts
    topology, nodes = None, 1
    if config.hardware.topology is not None or experts.rebalance_period_s is not None:
        topology = replica_topology(config, gpu, spread)
        nodes = _whole_nodes(spread, topology)
    moe = experts_of(model)
    placement = place_experts(experts, moe, spread.expert, routes, nodes)
    rebalancing = None
    if experts.rebalance_period_s is not None and topology is not None:
        rebalancing = Rebalancing(
            placement,
            experts.rebalance_period_s,
            redundant=experts.redundant,
            groups=moe.n_group,
            nodes=nodes,
            moving_s=partial(_moving_s, model, spread, topology),
        )
    return WalkedLoads(routes.walk(streams, replica), placement, rebalancing)


def _stored_loads(
    routes: Routes, transfers: ExpertTransfers, streams: Streams, replica: int
) -> StoredLoads:
    """Return the loads of a replica whose experts a store brings.

    What is resident depends on requests for as long as they run, so that these walk along the long
    sequences of the prompts, not along the brief ones of the pool that decodes.
    """
    pool = routes.prompts
    copies = count_experts(pool.chosen.reshape(pool.layers, -1), pool.experts)
    walk = PoolWalk(pool, streams, replica=replica)
    return StoredLoads(walk, transfers.store(copies), transfers, transfers.drafts(pool))


def _whole_nodes(spread: Parallelism, topology: Topology) -> int:
    """Return the nodes that the GPUs of a stage fill; 1 where they fill none, or some in part."""
    nodes, left = divmod(spread.stage_gpus, topology.island_gpus)
    return nodes if nodes and not left and spread.expert % nodes == 0 else 1


def _moving_s(
    model: Architecture, spread: Parallelism, topology: Topology, old: Placement, new: Placement
) -> float:
    """Return what going over to a new placement takes, alone on the links, s.

    The stages of a pipeline move their own layers at the same time.
    """
    ranks_close = max(topology.island_gpus // spread.expert_tensor, 1)
    moved = moves(old, new, model.moe_layers, ranks_close)
    seconds = moving_s(moved, expert_bytes(model), topology, spread.expert_tensor)
    return seconds / spread.pipeline
