"""Servers of the classifier endpoint, and the router in front of them."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import simpy

from simulator.serving.request import Request
from simulator.serving.router import Router
from simulator.serving.tenants.config import EndpointConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.query import Query
from simulator.serving.tenants.rate_limiter import RateLimiter


class Server:
    """Classifies one batch after another: one SimPy process, one event a batch.

    A server of its own beside LLM replicas, not a replica: a classifier has no decoding, no KV
    cache and no drafts. Routers see it as they see replicas (`router.Loaded`). The model answers
    when a batch has been served, all of its queries at once.

    Parameters
    ----------
    env, index
        The SimPy environment, and the server's number.
    costs
        What a batch takes.
    defended
        The model.
    compute
        Starts work of some seconds on the server's GPU, and returns what happens at its end.
    """

    def __init__(
        self,
        env: simpy.Environment,
        index: int,
        costs: EndpointConfig,
        defended: Defended,
        compute: Callable[[float], simpy.Event],
    ) -> None:
        self._env, self._costs, self._defended = env, costs, defended
        self._compute = compute
        self._waiting: deque[Query] = deque()
        self._wake: simpy.Event | None = None
        self.index = index
        self.outstanding = 0
        """Queries waiting or in service."""
        self.batches = 0
        """Batches served so far."""
        self.gpu_s: defaultdict[int, float] = defaultdict(float)
        """What they took alone, by tenant."""
        env.process(self._serve())

    @property
    def outstanding_tokens(self) -> int:
        """As many as queries: each is one piece of work."""
        return self.outstanding

    def cached_tokens(self, request: Request) -> int:
        """None: a classifier has no prefix cache."""
        return 0

    def submit(self, query: Query) -> None:
        """Queue a query; wakes the server if it is idle."""
        self.outstanding += 1
        self._waiting.append(query)
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    def _serve(self) -> Generator[simpy.Event, Any, None]:
        waiting, costs = self._waiting, self._costs
        while True:
            if not waiting:
                self._wake = self._env.event()
                yield self._wake
                self._wake = None
            batch = [waiting.popleft() for _ in range(min(len(waiting), costs.max_batch))]
            work_s = costs.batch_s + costs.query_s * len(batch)
            yield self._compute(work_s)
            self._answer(batch, work_s)

    def _answer(self, batch: Sequence[Query], work_s: float) -> None:
        """Ask the model, and hand out what it says; a query's part of a batch is an equal one."""
        scores = self._defended.scores(np.array([query.point for query in batch])).tolist()
        self.outstanding -= len(batch)
        self.batches += 1
        part_s, now_s = work_s / len(batch), self._env.now
        for query, row in zip(batch, scores, strict=True):
            query.gpu_s = part_s
            self.gpu_s[query.traits.tenant] += part_s
            query.left = True
            query.asker.take(query, row, now_s)


class Gateway:
    """The router of the endpoint: limits by tenant first, then one of its servers.

    Parameters
    ----------
    env, servers
        The SimPy environment, and who serves.
    router
        Chooses among the servers, as among replicas.
    limiter
        Limits.
    """

    def __init__(
        self,
        env: simpy.Environment,
        servers: Sequence[Server],
        router: Router,
        limiter: RateLimiter,
    ) -> None:
        self._env, self._servers = env, servers
        self._router, self._limiter = router, limiter
        self.admitted: Counter[int] = Counter()
        """Queries so far, by tenant."""
        self.refused: Counter[int] = Counter()
        """Those turned away."""

    def send(self, query: Query) -> float:
        """Send a query, or refuse it.

        Returns
        -------
        float
            0 if it was sent; else when its tenant may send again, s from now, infinite for never.
        """
        tenant, now_s = query.traits.tenant, self._env.now
        wait_s = self._limiter.wait_s(tenant, now_s)
        if wait_s:
            self.refused[tenant] += 1
            return wait_s
        self.admitted[tenant] += 1
        query.arrival_s = now_s
        self._servers[self._router.choose(self._servers, query)].submit(query)
        return 0.0
