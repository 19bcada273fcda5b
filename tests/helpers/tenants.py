"""Tenants for tests: a model that is a line, pictures, and sessions without a clock."""

from __future__ import annotations

import numpy as np
import simpy

from simulator.mlp import Mlp
from simulator.serving.tenants.config import AttackConfig, TenantsConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.session import Session, margins
from simulator.serving.tenants.tenancy import Tenancy, TenantRow
from simulator.streams import Streams

PIXELS = 16


def line(pixels: int = PIXELS, bias: float = 0.0) -> Mlp:
    """Return two classes with scores ``w x + bias`` and 0: linear, margins included."""
    weights = np.random.default_rng(5).standard_normal((pixels, 1))
    return Mlp([np.hstack([weights, np.zeros_like(weights)]), np.array([bias, 0.0])])


def pictures(model: Mlp, count: int = 40, pixels: int = PIXELS) -> Pictures:
    """Return pictures with the labels that a model gives them."""
    points = np.random.default_rng(6).uniform(0.3, 0.7, (count, pixels))
    labels = model.outputs(points).argmax(axis=1)
    return Pictures(points, labels, np.arange(count))


def attacked(
    config: AttackConfig, nu: float, model: Mlp, known: Pictures, sessions: int, seed: int = 1
) -> list[Session]:
    """Run sessions to their end, one after another, without queues or time."""
    streams = Streams(seed)
    defended, found = Defended(model, nu, streams), []
    for number in range(sessions):
        generator = streams.block("session", number)
        picture = int(known.targets[generator.integers(len(known.targets))])
        session = Session(config, known.pixels[picture], int(known.labels[picture]), generator)
        while session.points is not None:
            session.take(margins(defended.scores(session.points), session.label).tolist())
        found.append(session)
    return found


def alone(config: TenantsConfig, nu: float = 0.0, seed: int = 1) -> Tenancy:
    """Run an endpoint without a cluster beside it."""
    model, streams = line(), Streams(seed)
    tenancy = Tenancy(config, Defended(model, nu, streams), pictures(model), streams)
    env = simpy.Environment()
    tenancy.move_in(env)
    env.run()
    return tenancy


def had(tenancy: Tenancy, *, attacks: bool) -> TenantRow:
    """Return what all attackers had together, or all ordinary users."""
    rows = [row for row in tenancy.tenants() if row.attacks == attacks]
    sums = [sum(column) for column in list(zip(*rows, strict=True))[2:]] if rows else [0, 0, 0.0]
    return TenantRow(-1, attacks, *sums)
