"""The one place that builds things: from a configuration to the parts of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from simulator.clusters import (
    check_astride,
    check_router,
    plan_cluster,
    pool_configs,
    sent_bytes,
    shown_pool,
    topology_of,
)
from simulator.config import Config
from simulator.costs.compiled import CompiledSteps, windows_by_length
from simulator.costs.engine import Engine, load_engine
from simulator.costs.forward import ForwardCost
from simulator.costs.memory import plan_memory
from simulator.costs.offload import ExpertTransfers, check_offload, expert_transfers
from simulator.costs.step import StepModel
from simulator.dispatching import check_drawn, dispatch_plan
from simulator.drafting import (
    acceptance_of,
    check_drafter,
    drafter_parallelism,
    drafting_of,
    own_gpus,
)
from simulator.errors import ConfigError, SimulatorError, TableError
from simulator.experts.config import RoutingConfig
from simulator.experts.heterogeneity import layer_archetypes
from simulator.experts.laws import ROUTING_LAWS
from simulator.experts.overlaps import measured_overlap
from simulator.experts.routes import archetype_of
from simulator.experts.sampling import Archetype, archetype_names, measured_archetype
from simulator.hardware.gpu import Gpu, load_gpu
from simulator.hardware.topology import load_topology
from simulator.kernels.tables import KernelTables
from simulator.models.architecture import Architecture
from simulator.models.catalog import default_drafter, load_drafter
from simulator.models.drafters import Drafter, drafter_operators
from simulator.models.forward import forward_operators
from simulator.models.parallelism import Parallelism
from simulator.serving.deployment import ClusterPlan, Deployment, DispatchPlan
from simulator.serving.queues import QUEUES
from simulator.serving.router import ROUTERS, NewRouter
from simulator.serving.scheduler import Limits
from simulator.speculation.acceptance import Acceptance
from simulator.speculation.belief_policy import read_table
from simulator.speculation.policies import FIXED, POLICIES
from simulator.spread import spread_replica
from simulator.workload.build import build_workload
from simulator.workload.mix import traffic_classes
from simulator.workload.requests import Workload

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scenario:
    """The parts of a run.

    Parameters
    ----------
    config
        What it was built from.
    gpu, engine, drafter
        Hardware, serving engine, and drafter (also at gamma = 0, where it is not loaded).
    parallelism
        How a replica is spread over GPUs; the size of an attention group chosen or given.
    step_model
        The operator-by-operator cost model.
    acceptance, workload
        What is accepted, and what arrives.
    pools
        Of a cluster with pools each as a scenario of its own, of which this one shows the first
        that decodes; else none.
    """

    config: Config
    gpu: Gpu
    engine: Engine
    drafter: Drafter
    parallelism: Parallelism
    step_model: StepModel
    acceptance: Acceptance
    workload: Workload
    pools: tuple[Scenario, ...] = ()
    _deployments: dict[int, Deployment] = field(default_factory=dict, init=False, compare=False)

    def deployment(self, gamma: int) -> Deployment:
        """Return the cluster at a draft length; 0 is the baseline. Its step times compile once.

        Other than at 0 ``speculation.policy`` chooses, from 0 up to the draft length.
        The baseline does not load the drafter: the memory it takes is a price of speculation.
        """
        if gamma not in self._deployments:
            self._deployments[gamma] = self._deploy(gamma)
        return self._deployments[gamma]

    def cluster(self, gamma: int) -> ClusterPlan:
        """Return all pools at a draft length, and what changes them."""
        pools = self.pools or (self,)
        return plan_cluster(self.config, [pool.deployment(gamma) for pool in pools])

    def under(self, config: Config) -> Scenario:
        """Return these replicas in other numbers or under another load; step times are kept.

        Parameters
        ----------
        config
            As that of this scenario but for workload, run, and how many replicas there are.
        """
        workload = build_workload(config.workload, config.run.requests)
        if self.pools:
            own = pool_configs(config)
            pools = tuple(pool.under(each) for pool, each in zip(self.pools, own, strict=True))
            return replace(pools[shown_pool(config.cluster)], config=config, pools=pools)
        moved = replace(self, config=config, workload=workload)
        gamma, replicas = config.speculation.gamma, config.hardware.replicas
        moved._deployments[gamma] = replace(self.deployment(gamma), replicas=replicas)
        return moved

    def _deploy(self, gamma: int) -> Deployment:
        # Engines schedule every attention group by itself, and every micro-batch of a pipeline.
        scheduler, spread = self.config.scheduler, self.parallelism
        drafter, drafting = self.drafter if gamma else None, self.step_model.drafting
        memory = plan_memory(
            self.gpu,
            self.engine,
            self.config.model,
            drafter,
            spread,
            max_num_seqs=scheduler.max_num_seqs,
            draft_tokens=drafting.tree.nodes(gamma),
            own_gpus=drafting.own_gpus,
            offload=self.config.experts.offload,
        )
        # A drafter on GPUs of its own reads the prompt itself, wherever the target prefills.
        sent = None if drafting.own_gpus else drafter
        token_bytes, state_bytes = sent_bytes(self.config.model, sent)
        block = scheduler.block_tokens
        costs = [CompiledSteps(self.step_model, gamma)]
        deployment = Deployment(
            costs=costs,
            replicas=self.config.hardware.replicas,
            limits=Limits(
                max_num_seqs=spread.data * scheduler.max_num_seqs,
                max_batched_tokens=spread.data * spread.pipeline * scheduler.max_batched_tokens,
                recv_interval=scheduler.recv_interval,
                separate_prefill=bool(self.engine.separate_prefill),
                reserved_output=self.engine.reserved_output,
                max_queue=scheduler.max_queue,
                queue_timeout_s=scheduler.queue_timeout_s,
            ),
            kv_capacity_tokens=spread.data * (memory.kv_capacity_tokens // block * block),
            block_tokens=block,
            new_queue=QUEUES.get(scheduler.queue, "scheduler.queue"),
            prefix_cache=scheduler.prefix_cache,
            front_end_request_s=self.engine.front_end_request_s,
            front_end_s=self.engine.front_end_s,
            gpus=spread.gpus + (self.drafter_gpus if gamma else 0),
            kv_bytes_per_token=token_bytes,
            state_bytes=state_bytes,
            dispatch=self._dispatch(costs),
        )
        if gamma == 0 or self.config.speculation.policy == FIXED:
            return deployment
        return self._adaptive(deployment, gamma)

    def _adaptive(self, deployment: Deployment, gamma: int) -> Deployment:
        """Let the policy choose draft lengths up to ``gamma``."""
        lengths = range(gamma + 1)
        costs = [CompiledSteps(self.step_model, length, follows=True) for length in lengths]
        speculation = replace(self.config.speculation, gamma=gamma)
        new_policy = POLICIES.get(speculation.policy, "speculation.policy")
        price = windows_by_length(costs)
        return replace(
            deployment,
            costs=costs,
            new_policy=partial(new_policy, speculation, price),
            dispatch=self._dispatch(costs),
        )

    def _dispatch(self, costs: Sequence[CompiledSteps]) -> DispatchPlan | None:
        """Return how loads of experts are drawn; None where they are not."""
        return dispatch_plan(self.config, self.gpu, self.step_model, costs)

    @property
    def drafter_gpus(self) -> int:
        """GPUs of a replica beyond those of the target, for the drafter alone."""
        return own_gpus(self.config.speculation, self.drafter, self.parallelism)

    def router(self) -> NewRouter:
        """Return what makes the router of a run."""
        new_router = ROUTERS.get(self.config.scheduler.router, "scheduler.router")
        return partial(new_router, self.config.cluster.prefix_affinity)


def build(
    config: Config,
    engine: Engine | None = None,
    *,
    drafter: Drafter | None = None,
    workload: Workload | None = None,
) -> Scenario:
    """Build a scenario, refusing what cannot run.

    Parameters
    ----------
    config
        What to build.
    engine, drafter, workload
        Parts to use instead of those that the configuration names, for calibration and replay.

    Raises
    ------
    SimulatorError
        If a name is unknown, or the model, its context or its drafter do not fit the hardware.
    """
    if workload is None:
        workload = build_workload(config.workload, config.run.requests)
    check_router(config)
    if not config.cluster.pools:
        return _build(config, engine, drafter, workload)
    pools = []
    for pool, own in zip(config.cluster.pools, pool_configs(config), strict=True):
        try:
            pools.append(_build(own, engine, drafter, workload))
        except SimulatorError as error:
            if not str(error).startswith("hardware."):  # no matter of this pool
                raise
            raise type(error)(f"pool {pool.name}: {error}") from error
    drafters = [pool.drafter_gpus for pool in pools]
    gpus = [pool.parallelism.gpus + own for pool, own in zip(pools, drafters, strict=True)]
    check_astride(config, topology_of(config.cluster, gpus), gpus, drafters)
    return replace(pools[shown_pool(config.cluster)], config=config, pools=tuple(pools))


def _build(
    config: Config, engine: Engine | None, drafter: Drafter | None, workload: Workload
) -> Scenario:
    """Build the scenario of equal replicas."""
    target = config.model
    gpu = _load(load_gpu, "hardware.gpu", config.hardware.gpu)
    if engine is None:
        engine = _load(load_engine, "hardware.engine", config.hardware.engine)
    if drafter is None:
        drafter_name = config.speculation.drafter or default_drafter(target.name)
        drafter = _load(load_drafter, "speculation.drafter", drafter_name)
    ROUTERS.get(config.scheduler.router, "scheduler.router")
    QUEUES.get(config.scheduler.queue, "scheduler.queue")
    POLICIES.get(config.speculation.policy, "speculation.policy")
    if config.speculation.table is not None:
        read_table(config.speculation)  # what is wrong with it is said before anything runs
    acceptance = acceptance_of(config)
    law = ROUTING_LAWS.get(config.routing.law, "routing.law")
    _check_context(target, workload)
    _check_queue(config, workload)
    if config.speculation.gamma:
        check_drafter(config.speculation, drafter, target)
    check_offload(target, config.experts, config.routing.law, config.hardware.expert_parallel)
    on = config.hardware.topology
    topology = None if on is None else _load(load_topology, "hardware.topology", on)
    parallelism = spread_replica(
        config, gpu, engine, drafter if config.speculation.gamma else None, workload, topology
    )
    check_drawn(config, gpu, parallelism)
    tables = KernelTables.load(gpu, engine.tables)
    draft_grid = drafter_parallelism(config.speculation, drafter, parallelism)
    draft_operators = drafter_operators(drafter, target, draft_grid)
    step_model = StepModel(
        target=ForwardCost(forward_operators(target, parallelism), tables, engine, topology),
        drafter=ForwardCost(draft_operators, tables, engine, topology) if draft_operators else None,
        law=law(routing_of(config, engine), target, config.run.seed),
        engine=engine,
        vocab=target.vocab,
        parallelism=parallelism,
        layers=target.layers,
        drafting=drafting_of(config.speculation, drafter),
        offload=_offload(config, gpu, parallelism),
    )
    _check_measured(config, gpu, step_model)
    return Scenario(
        config,
        gpu,
        engine,
        drafter,
        parallelism,
        step_model,
        acceptance,
        workload,
    )


def routing_of(config: Config, engine: Engine) -> RoutingConfig:
    """Return the routing settings, filled in with what was calibrated or measured.

    Exponents calibrated with the engine profile come before the overlap measured for the model.
    """
    routing = config.routing
    if routing.law != "overlap":
        return routing
    measured = measured_overlap(config.model.name)
    overlap = None if measured is None else measured.value
    return replace(
        routing,
        within_request=_known(routing.within_request, engine.routing_within_request, overlap),
        across_requests=_known(routing.across_requests, engine.routing_across_requests),
        prompt=_known(routing.prompt, engine.routing_prompt),
    )


def _offload(config: Config, gpu: Gpu, parallelism: Parallelism) -> ExpertTransfers | None:
    """Return what experts in host memory cost; None where all are on the GPUs."""
    offload, target = config.experts.offload, config.model
    if offload is None:
        return None
    return expert_transfers(offload, _popularity(config), gpu, target, parallelism)


def _popularity(config: Config) -> Archetype | None:
    """Return how tokens prefer experts under the routing law; None where all are alike to it."""
    routing, target = config.routing, config.model
    if routing.law == "sampled":
        archetype, overlap, _ = archetype_of(routing, target)
        return layer_archetypes(archetype, overlap, 0.0, 1)[0]
    if routing.law == "overlap" and target.name in archetype_names():
        return measured_archetype(target.name).archetype
    return None


def _known(*choices: float | None) -> float | None:
    """Return the first that is known."""
    return next((choice for choice in choices if choice is not None), None)


def _load(loader: Callable[[str], T], key: str, name: str) -> T:
    """Load something by name, its setting named in the error."""
    try:
        return loader(name)
    except TableError as error:
        raise ConfigError(f"{key}={name}: {error}") from error


def _check_measured(config: Config, gpu: Gpu, step_model: StepModel) -> None:
    """Price a step with everything in it: a kernel that was not measured must not stop the run."""
    gamma = config.speculation.gamma
    try:
        shape = step_model.verify_shape(1, gamma, gamma + 1)
        step_model.step(replace(shape, prefill=((0, 1),)), gamma)
    except TableError as error:
        target = config.model
        raise ConfigError(
            f"{target.title} (model.dtype={target.dtype}, model.expert_dtype={target.expert_dtype})"
            f" cannot be timed on {gpu.title}: {error} Choose another GPU, model or format; all "
            f"measurements: moesim list tables."
        ) from error


def _check_context(target: Architecture, workload: Workload) -> None:
    longest = workload.max_prompt_tokens + workload.max_output_tokens
    if longest > target.max_context_tokens:
        raise ConfigError(
            f"{workload.title} has requests of up to {longest} tokens "
            f"({workload.max_prompt_tokens} prompt + {workload.max_output_tokens} output), but "
            f"{target.title} is limited to {target.max_context_tokens}. Lower "
            f"workload.max_prompt_tokens and workload.max_output_tokens, or pick a model with a "
            f"longer context."
        )


def _check_queue(config: Config, workload: Workload) -> None:
    """Refuse queues that would spin, or order nothing."""
    scheduler, classes = config.scheduler, traffic_classes(config.workload)
    if workload.concurrency is not None and scheduler.max_queue is not None:
        raise ConfigError(
            f"scheduler.max_queue={scheduler.max_queue} refuses requests, but the "
            f"{workload.concurrency} users of a closed loop would ask again at once, for ever. "
            "Leave it null, or take an open loop (workload.kind=preset)."
        )
    if scheduler.queue == "priority" and len({one.priority for one in classes}) < 2:
        raise ConfigError(
            "scheduler.queue=priority, but all requests have one priority; give "
            "workload.traffic_classes different ones, or take scheduler.queue=fcfs."
        )
    if scheduler.queue == "fair" and sum(one.tenants for one in classes) < 2:
        raise ConfigError(
            "scheduler.queue=fair shares among tenants, but there is one; list "
            "workload.traffic_classes, or their tenants, or take scheduler.queue=fcfs."
        )
