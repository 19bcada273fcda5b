"""What a deployment starts, whatever the engine: servers of equal settings, and what drafts."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.clusters import pool_configs
from simulator.config import Config
from simulator.errors import ConfigError
from simulator.hardware.gpu import Gpu, load_gpu
from simulator.models.architecture import Architecture
from simulator.models.catalog import default_drafter, load_drafter
from simulator.models.checkpoints import drafter_checkpoint, model_checkpoint
from simulator.models.drafters import Drafter
from simulator.serving.cluster_config import MIXED


@dataclass(frozen=True, slots=True)
class Server:
    """Servers that are started alike: the replicas of a deployment, or of one of its pools.

    Parameters
    ----------
    role
        ``mixed``, ``prefill`` or ``decode``.
    config
        The configuration of the pool, its ``hardware`` that of each server.
    gpu
        What it runs on.
    tensor
        GPUs of an attention group.
    drafter
        What drafts; None if nothing does.
    """

    role: str
    config: Config
    gpu: Gpu
    tensor: int
    drafter: Drafter | None

    @property
    def model(self) -> Architecture:
        """The model that is served."""
        return self.config.model

    @property
    def replicas(self) -> int:
        """How many servers there are."""
        return self.config.hardware.replicas

    @property
    def gpus(self) -> int:
        """GPUs of one server."""
        hardware = self.config.hardware
        return self.tensor * hardware.data_parallel * hardware.pipeline_parallel

    @property
    def stage_gpus(self) -> int:
        """GPUs that share one layer."""
        return self.tensor * self.config.hardware.data_parallel

    @property
    def checkpoint(self) -> str:
        """What the engine loads; a name to fill in where none is published."""
        return model_checkpoint(self.model) or _to_fill_in(self.model.title)

    @property
    def drafter_checkpoint(self) -> str:
        """What it loads to draft, if anything; a name to fill in where none is published."""
        if self.drafter is None or self.drafter.kind == "ngram":
            return ""
        if self.drafter.kind == "head" and self.drafter.layer == "target":
            return ""
        known = drafter_checkpoint(self.drafter, self.model)
        return known or _to_fill_in(f"{self.drafter.title} of {self.model.title}")


def servers(config: Config) -> tuple[Server, ...]:
    """Return the servers of a deployment, pool by pool.

    Raises
    ------
    ConfigError
        If the size of an attention group is left open.
    """
    roles = [pool.role for pool in config.cluster.pools] or [MIXED]
    pools = pool_configs(config) or [config]
    speculation = config.speculation
    drafter = None
    if speculation.gamma:
        drafter = load_drafter(speculation.drafter or default_drafter(config.model.name))
    return tuple(
        Server(role, pool, load_gpu(pool.hardware.gpu), _tensor(pool), drafter)
        for role, pool in zip(roles, pools, strict=True)
    )


def _tensor(config: Config) -> int:
    size = config.hardware.tensor_parallel
    if size is None:
        raise ConfigError(
            "hardware.tensor_parallel=null leaves the GPUs of a server open; name a size to export."
        )
    return size


def _to_fill_in(title: str) -> str:
    """Return a mark for what the user has to name, as a shell word without blanks.

    Examples
    --------
    >>> _to_fill_in("EAGLE-3 head of Mixtral-8x7B")
    'YOUR_EAGLE-3_HEAD_OF_MIXTRAL-8X7B'
    """
    return f"YOUR_{title}".upper().replace(" ", "_")
