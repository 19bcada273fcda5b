"""The configuration of a run, as frozen dataclasses.

Hydra composes YAML groups from ``conf/`` onto this schema; `scenario.build` turns the result into
parts. Values that make no sense by themselves are refused here, combinations there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.errors import ConfigError, unknown
from simulator.experts.config import ExpertsConfig, RoutingConfig
from simulator.models.architecture import Architecture
from simulator.models.parallelism import ALL2ALL_BACKENDS, ALLGATHER
from simulator.serving.cluster_config import ClusterConfig
from simulator.serving.config import SchedulerConfig
from simulator.slo import SloConfig
from simulator.speculation.config import SpeculationConfig
from simulator.workload.config import WorkloadConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareConfig:
    """The config group ``hardware``.

    Parameters
    ----------
    gpu
        Name in ``hardware_specs/gpus``, or path of a specification of the same form.
    tensor_parallel
        GPUs that share the heads of one attention group; null takes the fewest that hold the model.
    data_parallel
        Attention groups of a replica: each serves its own share of the requests, all share the
        experts (vLLM's ``--data-parallel-size``, SGLang's ``--enable-dp-attention``,
        TensorRT-LLM's ``enable_attention_dp``).
    expert_parallel
        GPUs that the experts of a layer are spread over, whole experts each; 1 splits each expert
        over all GPUs instead (vLLM's ``--enable-expert-parallel`` sets the product of the above).
    pipeline_parallel
        Stages of consecutive layers.
    replicas
        Replicas behind the router.
    engine
        Name in ``hardware_specs/engines``, or path of a profile of the same form.
    topology
        Name in ``hardware_specs/links``, or path of a file of the same form: the GPUs that a
        replica lies on, the first of them. Null is one node, with collectives as measured.
    all2all_backend
        How tokens get to experts on other GPUs and back, by vLLM's names:
        ``allgather_reducescatter`` (every GPU gets all tokens), ``deepep_high_throughput`` or
        ``deepep_low_latency`` (only those that chose its experts).
    """

    gpu: str = "a100_sxm"
    tensor_parallel: int | None = None
    data_parallel: int = 1
    expert_parallel: int = 1
    pipeline_parallel: int = 1
    replicas: int = 1
    engine: str = "vllm"
    topology: str | None = None
    all2all_backend: str = ALLGATHER

    def __post_init__(self) -> None:
        sizes = ("tensor_parallel", "data_parallel", "expert_parallel", "pipeline_parallel")
        if self.all2all_backend not in ALL2ALL_BACKENDS:
            key = "hardware.all2all_backend"
            raise ConfigError(unknown(key, self.all2all_backend, ALL2ALL_BACKENDS))
        for key in (*sizes, "replicas"):
            size = getattr(self, key)
            if size is not None and not 1 <= size <= 4096:
                hint = ", or be null for the fewest GPUs that hold the model"
                hint = hint if key == "tensor_parallel" else ""
                raise ConfigError(f"hardware.{key}={size!r} must lie in 1..4096{hint}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How long and how often to simulate.

    Parameters
    ----------
    seed
        Root of all randomness.
    replications
        Independent repetitions; the intervals come from them.
    requests
        Requests per replication.
    warmup_fraction
        Share of the arrival horizon that is cut before anything is measured.
    workers
        Worker processes; null uses the cores of the machine. Results do not depend on it.
    picture
        Whether to draw the latency distributions, and queue, batch and KV cache over time.
    """

    seed: int = 0
    replications: int = 5
    requests: int = 2500
    warmup_fraction: float = 0.1
    workers: int | None = None
    picture: bool = True

    def __post_init__(self) -> None:
        self._check_range("seed", 0, 2**63 - 1)
        self._check_range("replications", 1, 10_000)
        self._check_range("requests", 1, 100_000_000)
        if not 0.0 <= self.warmup_fraction < 1.0:
            raise ConfigError(
                f"run.warmup_fraction={self.warmup_fraction!r} must lie in [0, 1): it is the share "
                f"of the run that is cut."
            )
        if self.workers is not None:
            self._check_range("workers", 1, 1024)

    def _check_range(self, key: str, low: int, high: int) -> None:
        value = getattr(self, key)
        if not low <= value <= high:
            raise ConfigError(f"run.{key}={value!r} must lie in {low}..{high}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole scenario.

    Parameters
    ----------
    title
        One line that says what the scenario is.
    model, hardware, workload, speculation, routing, experts, scheduler, cluster, slo
        The config groups.
    run
        How long and how often to simulate.
    """

    title: str = ""
    model: Architecture
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    workload: WorkloadConfig = field(default_factory=WorkloadConfig)
    speculation: SpeculationConfig
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    slo: SloConfig = field(default_factory=SloConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        self.cluster.check_beside(self.hardware.replicas)
        here, there = self.hardware.topology, self.cluster.topology
        if here is not None and there is not None and here != there:
            raise ConfigError(
                f"hardware.topology={here}, but cluster.topology={there}: a replica lies on the "
                f"topology of its cluster. Name one for both."
            )
        query_tokens = self.speculation.draft_tokens + 1
        tokens = self.scheduler.max_num_seqs * query_tokens
        if tokens > self.scheduler.max_batched_tokens:
            raise ConfigError(
                f"scheduler.max_num_seqs={self.scheduler.max_num_seqs} requests verify "
                f"{query_tokens} tokens each, {tokens} in all, but "
                f"scheduler.max_batched_tokens={self.scheduler.max_batched_tokens}. Raise the "
                f"latter to {tokens}, or lower scheduler.max_num_seqs or speculation.gamma."
            )
