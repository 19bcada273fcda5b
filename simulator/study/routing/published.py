"""Routes drawn from archetypes beside the overlaps and unions that were measured on models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import TableError, unknown
from simulator.experts.config import RoutingConfig
from simulator.experts.routes import Routes, routes_of
from simulator.experts.sampling import lag_overlap
from simulator.experts.unions import PoolUnions
from simulator.models.catalog import load_architecture
from simulator.quantities import Quantity, read_data, read_quantities

_PACKAGE, _FILE = "simulator.workloads.routing", "published"

CALIBRATED, SHAPED, UNUSED = "calibrated", "shaped by", "unused"
"""How an archetype came by a figure: the factor on its deviations, their ratio, or not at all."""

TOLERANCE = 0.05
"""How far off sampled routes may be."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure, measured and on sampled routes.

    Parameters
    ----------
    model
        On which it was measured.
    figure
        ``overlap_L`` at a distance of L tokens, or ``union_N`` of N consecutive tokens.
    measured
        As published.
    sampled
        On the routes that runs of that model walk along.
    use
        What the archetype has of it: `CALIBRATED`, `SHAPED` or `UNUSED`.
    """

    model: str
    figure: str
    measured: Quantity
    sampled: float
    use: str

    @property
    def error(self) -> float:
        """Relative error of the sampled figure."""
        return self.sampled / self.measured.value - 1


def published_models() -> list[str]:
    """List the models with published figures."""
    return list(read_data(_PACKAGE, _FILE, "routing profile"))


def compare_published(models: Sequence[str] = (), seed: int = 0) -> list[Compared]:
    """Hold sampled routes against every published figure.

    Parameters
    ----------
    models
        Which models; none: all with published figures.
    seed
        Of the routes.

    Raises
    ------
    TableError
        If nothing was published of a model; the message names the nearest.
    """
    data = read_data(_PACKAGE, _FILE, "routing profile")
    for model in models:
        if model not in data:
            raise TableError(unknown("model with published routes", model, data))
    found = []
    for model in models or data:
        routes = routes_of(RoutingConfig(law="sampled"), load_architecture(model), seed)
        figures = read_quantities(data[model], f"workloads/routing/{_FILE}.yaml: {model}")
        for figure, measured in figures.items():
            kind, count = figure.split("_")
            sampled = _overlap if kind == "overlap" else _union
            value = sampled(routes, int(count))
            found.append(Compared(model, figure, measured, value, _use(kind, count)))
    return found


def _use(kind: str, count: str) -> str:
    if kind == "union":
        return UNUSED
    return CALIBRATED if count == "1" else SHAPED


def _overlap(routes: Routes, lag: int) -> float:
    """Return the overlap at a distance, mean over layers."""
    pool = routes.decode
    layers = pool.chosen.reshape(pool.layers, len(pool.lengths), -1, pool.top_k)
    return float(np.mean([lag_overlap(layer, lag) for layer in layers]))


def _union(routes: Routes, tokens: int) -> float:
    """Return the distinct experts of consecutive tokens of one request, mean over layers."""
    return PoolUnions(routes).distinct(1, tokens, 0)
