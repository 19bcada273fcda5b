"""Attackers: tenants in closed loop, one session after another."""

from __future__ import annotations

from collections.abc import Generator
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from simulator.serving.request import Traits
from simulator.serving.tenants.burst import Burst
from simulator.serving.tenants.config import TenantsConfig
from simulator.serving.tenants.endpoint import Gateway
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.query import ATTACK, Query
from simulator.serving.tenants.session import Session
from simulator.streams import Streams

Floats = NDArray[np.float64]

HIT, BUDGET, HORIZON, QUOTA = "hit", "budget", "horizon", "quota"
"""How a session ends: the attacker believes that it has won, its budget is spent, the run is over,
or its tenant may send no more."""


class SessionRow(NamedTuple):
    """What became of a session."""

    tenant: int
    session: int
    picture: int
    started_s: float
    ended_s: float
    outcome: str
    queries: int
    """Replies to whole steps that it had."""
    refused: int
    """Queries that a limit turned away; each was sent again."""
    first_hit_queries: int
    """Replies up to the first candidate that was misclassified; 0 for none."""
    distortion: float
    """Distance of the last candidate from the picture, in the norm of the attack."""
    gpu_s: float
    """What its queries took of the GPU."""
    candidate: Floats
    """What it asked last as a picture to submit, shape (d,)."""


class Attacker:
    """A tenant that attacks one picture after another: one SimPy process.

    The queries of a step are sent together, and the next step waits for all replies. A query that
    is refused is sent again when the tenant may; those behind it wait with it.

    Parameters
    ----------
    env, gateway
        The SimPy environment, and whom it asks.
    tenant
        Its number.
    config, pictures, streams
        What it does, with what, and its randomness.
    numbers
        Of queries to come.
    rows
        Where its sessions are written when they end.
    """

    def __init__(
        self,
        env: simpy.Environment,
        gateway: Gateway,
        tenant: int,
        *,
        config: TenantsConfig,
        pictures: Pictures,
        streams: Streams,
        numbers: count[int],
        rows: list[SessionRow],
    ) -> None:
        self._env, self._gateway, self._config = env, gateway, config
        self._tenant, self._traits = tenant, Traits(ATTACK, tenant)
        self._pictures = pictures
        self._streams = streams.within(f"attacker {tenant}")
        self._numbers, self._rows = numbers, rows
        self._refused = 0
        self._gpu_s = 0.0
        env.process(self._attack())

    def _attack(self) -> Generator[simpy.Event, Any, None]:
        env, config = self._env, self._config
        for number in count():
            # Of a session's own block: it does not depend on how long those before it took.
            generator = self._streams.block("session", number)
            yield env.timeout(generator.exponential(config.gap_s))
            if env.now >= config.horizon_s:
                return
            picture = self._pictures.drawn(generator)
            label = int(self._pictures.labels[picture])
            start_s, self._refused, self._gpu_s = env.now, 0, 0.0
            session = Session(config.attack, self._pictures.pixels[picture], label, generator)
            outcome = yield from self._run(session)
            self._write(session, number, picture, start_s, outcome)
            if outcome in (QUOTA, HORIZON):
                return

    def _run(self, session: Session) -> Generator[simpy.Event, Any, str]:
        """Take a session to its end; return how it ends."""
        env, config = self._env, self._config
        while session.points is not None:
            if env.now >= config.horizon_s:
                return HORIZON
            burst = Burst(env, len(session.points), session.label)
            for place, point in enumerate(session.points):
                query = Query(next(self._numbers), self._traits, point, burst, place)
                while wait_s := self._gateway.send(query):
                    self._refused += 1
                    if env.now + wait_s >= config.horizon_s:
                        burst.cut(place)
                        yield burst.answered
                        self._gpu_s += burst.gpu_s
                        return QUOTA if wait_s == np.inf else HORIZON
                    yield env.timeout(wait_s)
            yield burst.answered
            self._gpu_s += burst.gpu_s
            session.take(burst.margins)
            if config.think_s and session.points is not None:
                yield env.timeout(config.think_s)
        return HIT if session.hit else BUDGET

    def _write(
        self, session: Session, number: int, picture: int, start_s: float, outcome: str
    ) -> None:
        self._rows.append(
            SessionRow(
                tenant=self._tenant,
                session=number,
                picture=picture,
                started_s=start_s,
                ended_s=self._env.now,
                outcome=outcome,
                queries=session.queries,
                refused=self._refused,
                first_hit_queries=session.first_hit,
                distortion=session.distortion,
                gpu_s=self._gpu_s,
                candidate=session.candidate,
            )
        )
