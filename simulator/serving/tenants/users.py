"""Ordinary users of the endpoint, in open loop."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Sequence
from itertools import count
from typing import Any

import simpy

from simulator.serving.request import Traits
from simulator.serving.tenants.config import TenantsConfig
from simulator.serving.tenants.endpoint import Gateway
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.query import BENIGN, Query
from simulator.streams import Streams


class Users:
    """Ordinary users of the endpoint, in open loop: one SimPy process for all of them.

    A query that is refused is not sent again.

    Parameters
    ----------
    env, gateway, config, pictures, streams, numbers
        As for `Attacker`; tenants are numbered from ``config.attackers`` on.
    """

    def __init__(
        self,
        env: simpy.Environment,
        gateway: Gateway,
        *,
        config: TenantsConfig,
        pictures: Pictures,
        streams: Streams,
        numbers: count[int],
    ) -> None:
        self._env, self._gateway, self._config = env, gateway, config
        self._pictures, self._streams, self._numbers = pictures, streams, numbers
        self.latency_s = array("d")
        """Of every query that was answered."""
        self.right = 0
        """Queries that were answered with the right class."""
        env.process(self._ask())

    def take(self, query: Query, scores: Sequence[float], now_s: float) -> None:
        """Take a reply."""
        self.latency_s.append(now_s - query.arrival_s)
        self.right += scores.index(max(scores)) == self._pictures.labels[query.place]

    def _ask(self) -> Generator[simpy.Event, Any, None]:
        env, config, pictures = self._env, self._config, self._pictures
        for block in count():
            generator = self._streams.block("users", block)
            gaps_s = generator.exponential(1.0 / config.benign_rate_per_s, 1024).tolist()
            tenants = generator.integers(config.benign_tenants, size=1024).tolist()
            rows = generator.integers(len(pictures.labels), size=1024).tolist()
            for gap_s, tenant, row in zip(gaps_s, tenants, rows, strict=True):
                yield env.timeout(gap_s)
                if env.now >= config.horizon_s:
                    return
                traits = Traits(BENIGN, config.attackers + tenant)
                self._gateway.send(
                    Query(next(self._numbers), traits, pictures.pixels[row], self, row)
                )
