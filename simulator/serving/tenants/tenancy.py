"""The endpoint and its tenants, beside the replicas of a cluster or alone."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import simpy

from simulator.serving.cluster_config import AffinityConfig
from simulator.serving.replica import Follower
from simulator.serving.router import ROUTERS, uniforms
from simulator.serving.tenants.attacker import Attacker, SessionRow
from simulator.serving.tenants.config import TenantsConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.endpoint import Gateway, Server
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.rate_limiter import RateLimiter
from simulator.serving.tenants.shared_gpu import SharedGpu
from simulator.serving.tenants.users import Users
from simulator.serving.tick import Tick
from simulator.streams import Streams


class TenantRow(NamedTuple):
    """What a tenant had of the endpoint."""

    tenant: int
    attacks: bool
    queries: int
    """Served by the end of the run."""
    refused: int
    """Turned away by a limit."""
    gpu_s: float
    """GPU-seconds that its queries took, as if the endpoint were alone."""


class Tenancy:
    """A classifier endpoint with its clients, for one run (`cluster.Neighbours`).

    If it shares GPUs, server i computes on a GPU of LLM replica i, and either slows the other.

    Parameters
    ----------
    config, defended, pictures
        Who asks what, whom, and with what.
    streams
        Random streams of the run.
    """

    def __init__(
        self, config: TenantsConfig, defended: Defended, pictures: Pictures, streams: Streams
    ) -> None:
        self._config, self._defended, self._pictures = config, defended, pictures
        self._streams = streams.within("tenants")
        self._gpus: list[SharedGpu] = []
        self.sessions: list[SessionRow] = []
        """Sessions that have ended, in the order in which they did."""

    @property
    def horizon_s(self) -> float:
        """When clients send their last."""
        return self._config.horizon_s

    def move_in(self, env: simpy.Environment) -> None:
        """Set up servers and clients in an environment."""
        config, streams = self._config, self._streams
        endpoint = config.endpoint
        if endpoint.share is not None:
            self._gpus = [SharedGpu(env, endpoint.share) for _ in range(endpoint.servers)]
        own = [Tick(env).after for _ in range(endpoint.servers)]
        self.servers = [
            Server(env, index, endpoint, self._defended, compute)
            for index, compute in enumerate([gpu.server.follow for gpu in self._gpus] or own)
        ]
        router = ROUTERS.get("least_outstanding")(AffinityConfig(), uniforms(streams, "router"))
        self.gateway = Gateway(env, self.servers, router, RateLimiter(config.limits))
        numbers, pictures = count(), self._pictures
        self.users = Users(
            env, self.gateway, config=config, pictures=pictures, streams=streams, numbers=numbers
        )
        for tenant in range(config.attackers):
            Attacker(
                env,
                self.gateway,
                tenant,
                config=config,
                pictures=pictures,
                streams=streams,
                numbers=numbers,
                rows=self.sessions,
            )

    def tenants(self) -> list[TenantRow]:
        """Return what each tenant had, attackers first."""
        attackers, gateway = self._config.attackers, self.gateway
        return [
            TenantRow(
                tenant,
                tenant < attackers,
                gateway.admitted[tenant],
                gateway.refused[tenant],
                sum(server.gpu_s[tenant] for server in self.servers),
            )
            for tenant in range(attackers + self._config.benign_tenants)
        ]

    def follower(self, index: int) -> Follower | None:
        """Return what waits out the steps of an LLM replica; None if it has its GPUs to itself."""
        return self._gpus[index].replica if index < len(self._gpus) else None
