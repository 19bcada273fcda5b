"""Who asks the endpoint: attackers in closed loop, and ordinary users."""

from __future__ import annotations

import math
from array import array
from collections.abc import Generator, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.serving.request import Traits
from simulator.serving.tenants.config import TenantsConfig
from simulator.serving.tenants.defended import Classifier
from simulator.serving.tenants.endpoint import Door
from simulator.serving.tenants.query import ATTACK, BENIGN, Query
from simulator.serving.tenants.session import Session, margin
from simulator.streams import Streams

Floats = NDArray[np.float64]

HIT, BUDGET, HORIZON, QUOTA = "hit", "budget", "horizon", "quota"
"""How a session ends: the attacker believes that it has won, its budget is spent, the run is over,
or its tenant may send no more."""


class Pictures(NamedTuple):
    """What clients send.

    Parameters
    ----------
    pixels, labels
        Shapes (n, d) and (n,).
    targets
        Row that is attacked where a row is drawn, shape (n,): itself if the model classifies it
        rightly without noise, else the next that it does. So attacks on several models are on the
        same pictures, but for those few.
    """

    pixels: Floats
    labels: NDArray[np.int64]
    targets: NDArray[np.int64]

    @classmethod
    def seen_by(cls, model: Classifier, pixels: Floats, labels: NDArray[np.int64]) -> Pictures:
        """Return pictures with the targets of a model.

        Raises
        ------
        InvariantError
            If the model is right about none.
        """
        right = np.flatnonzero(model.outputs(pixels).argmax(axis=1) == labels)
        if not right.size:
            raise InvariantError("the model classifies no picture rightly; there is none to attack")
        following = np.searchsorted(right, np.arange(len(labels))) % right.size
        return cls(pixels, labels, right[following])


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


class Burst:
    """Queries that are asked together, and what is learned from their replies.

    Parameters
    ----------
    env
        The SimPy environment.
    queries
        How many.
    label
        The right class of them all.
    """

    def __init__(self, env: simpy.Environment, queries: int, label: int) -> None:
        self._label = label
        self.margins = [math.nan] * queries
        """In the order of the queries; all there once `answered` has happened."""
        self._missing = queries
        self.answered = env.event()
        """Happens when the last reply has come."""
        self.gpu_s = 0.0

    def cut(self, sent: int) -> None:
        """Expect replies to those that have been sent only."""
        self._missing -= len(self.margins) - sent
        if not self._missing:
            self.answered.succeed()

    def take(self, query: Query, scores: Sequence[float], now_s: float) -> None:
        """Take the reply to one of the queries."""
        self.margins[query.place] = margin(scores, self._label)
        self.gpu_s += query.gpu_s
        self._missing -= 1
        if not self._missing:
            self.answered.succeed()


class Attacker:
    """A tenant that attacks one picture after another: one SimPy process.

    The queries of a step are sent together, and the next step waits for all replies. A query that
    is refused is sent again when the tenant may; those behind it wait with it.

    Parameters
    ----------
    env, door
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
        door: Door,
        tenant: int,
        *,
        config: TenantsConfig,
        pictures: Pictures,
        streams: Streams,
        numbers: count[int],
        rows: list[SessionRow],
    ) -> None:
        self._env, self._door, self._config = env, door, config
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
            targets = self._pictures.targets
            picture = int(targets[generator.integers(len(targets))])
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
                while wait_s := self._door.send(query):
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


class Users:
    """Ordinary users of the endpoint, in open loop: one SimPy process for all of them.

    A query that is refused is not sent again.

    Parameters
    ----------
    env, door, config, pictures, streams, numbers
        As for `Attacker`; tenants are numbered from ``config.attackers`` on.
    """

    def __init__(
        self,
        env: simpy.Environment,
        door: Door,
        *,
        config: TenantsConfig,
        pictures: Pictures,
        streams: Streams,
        numbers: count[int],
    ) -> None:
        self._env, self._door, self._config = env, door, config
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
                self._door.send(Query(next(self._numbers), traits, pictures.pixels[row], self, row))
