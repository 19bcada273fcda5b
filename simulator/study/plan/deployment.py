"""A deployment: what a plan proposes to rent and how to run it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.models.parallelism import Parallelism
from simulator.speculation.policies import FIXED

NATIVE = "native"
"""The precision of the model's own file."""


THRESHOLD = "threshold"
"""The policy that ``speculation.threshold`` belongs to."""


@dataclass(frozen=True, slots=True, order=True)
class Split:
    """Prefill and decode on replicas of their own, in a unit of so many of each.

    Parameters
    ----------
    prefill, decode
        Replicas of either in a unit, each >= 1; `Deployment.replicas` counts units.

    Examples
    --------
    >>> str(Split(1, 3))
    '1:3'
    """

    prefill: int
    decode: int

    def __str__(self) -> str:
        return f"{self.prefill}:{self.decode}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is rented, and how it is run.

    Parameters
    ----------
    model
        Name in the config group ``model``.
    gpu
        Name in ``hardware_specs/gpus``, or path of a specification.
    precision
        Weight format as `precision_settings` reads it; ``native`` is that of the model's file.
    tensor_parallel, data_parallel, expert_parallel, pipeline_parallel
        How one replica is spread over GPUs (`models.parallelism`).
    gamma
        Draft length, the longest if a policy chooses; 0 serves without speculation.
    policy
        Who chooses the draft length of a step (``speculation.policy``).
    schedule
        Rows (first batch, last batch, draft length) of the policy ``batch_schedule``.
    max_num_seqs
        Requests that an attention group runs at once.
    split
        Prefill and decode pools of equal replicas; None where replicas serve whole requests.
    replicas
        Equal replicas, or units of a split.

    Examples
    --------
    >>> two = Deployment(model="m", gpu="h100_sxm", tensor_parallel=4, gamma=3, replicas=2)
    >>> two.gpus, str(two)
    (8, '2 x (4 x h100_sxm, TP 4), gamma 3')
    """

    model: str
    gpu: str
    precision: str = NATIVE
    tensor_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    pipeline_parallel: int = 1
    gamma: int = 0
    policy: str = FIXED
    schedule: tuple[tuple[int, int, int], ...] = ()
    max_num_seqs: int = 256
    split: Split | None = None
    replicas: int = 1

    @property
    def parallelism(self) -> Parallelism:
        """How one replica is spread over GPUs."""
        return Parallelism(
            self.tensor_parallel,
            self.data_parallel,
            self.expert_parallel,
            self.pipeline_parallel,
        )

    @property
    def unit_gpus(self) -> int:
        """GPUs of a replica, or of all replicas in a unit of a split."""
        pools = 1 if self.split is None else self.split.prefill + self.split.decode
        return self.parallelism.gpus * pools

    @property
    def gpus(self) -> int:
        """All GPUs."""
        return self.replicas * self.unit_gpus

    @property
    def speculates(self) -> bool:
        """Whether anything is drafted."""
        return self.gamma > 0

    def with_replicas(self, replicas: int) -> Deployment:
        """Return the deployment with another number of replicas or units."""
        return replace(self, replicas=replicas)

    def without_speculation(self) -> Deployment:
        """Return its twin on the same GPUs that drafts nothing."""
        return replace(self, gamma=0, policy=FIXED, schedule=())

    @property
    def overrides(self) -> tuple[str, ...]:
        """Settings of ``moesim simulate`` that make it, beside those of the question."""
        return (
            f"model={self.model}",
            f"hardware.gpu={self.gpu}",
            *(f"{key}={value}" for key, value in precision_settings(self.precision).items()),
            f"hardware.tensor_parallel={self.tensor_parallel}",
            f"hardware.data_parallel={self.data_parallel}",
            f"hardware.expert_parallel={self.expert_parallel}",
            f"hardware.pipeline_parallel={self.pipeline_parallel}",
            *self._cluster_overrides(),
            f"speculation.gamma={self.gamma}",
            f"speculation.policy={self.policy}",
            f"speculation.schedule={_flow(self.schedule)}",
            *(() if self.policy == THRESHOLD else ("speculation.threshold=null",)),
            f"scheduler.max_num_seqs={self.max_num_seqs}",
        )

    def _cluster_overrides(self) -> tuple[str, ...]:
        if self.split is None:
            return (f"hardware.replicas={self.replicas}",)
        pools = [
            f"{{name: {role}, role: {role}, replicas: {count * self.replicas}}}"
            for role, count in (("prefill", self.split.prefill), ("decode", self.split.decode))
        ]
        return ("cluster=disaggregated", f"cluster.pools=[{', '.join(pools)}]")

    def __str__(self) -> str:
        unit = f"{self.unit_gpus} x {self.gpu}, {self.parallelism}"
        if self.split is not None:
            unit += f", {self.split} prefill:decode"
        if self.precision != NATIVE:
            unit += f", {self.precision}"
        if not self.speculates:
            return f"{self.replicas} x ({unit}), no speculation"
        how = "" if self.policy == FIXED else f" by {self.policy}"
        return f"{self.replicas} x ({unit}), gamma {self.gamma}{how}"


def precision_settings(precision: str) -> dict[str, str]:
    """Return the model settings of a precision: none for ``native``.

    One weight format is that of all matrices; two with a slash are that of attention, dense and
    shared experts, and that of routed experts.

    Examples
    --------
    >>> precision_settings("bfloat16/nvfp4")
    {'model.dtype': 'bfloat16', 'model.expert_dtype': 'nvfp4'}
    >>> precision_settings("fp8")
    {'model.dtype': 'fp8', 'model.expert_dtype': 'fp8'}
    >>> precision_settings("native")
    {}
    """
    if precision == NATIVE:
        return {}
    dense, _, experts = precision.partition("/")
    return {"model.dtype": dense, "model.expert_dtype": experts or dense}


def _flow(rows: tuple[tuple[int, int, int], ...]) -> str:
    """Write rows as a YAML flow sequence."""
    return f"[{','.join(f'[{first},{last},{gamma}]' for first, last, gamma in rows)}]"
