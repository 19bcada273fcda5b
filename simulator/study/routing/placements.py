"""Placements of experts side by side: how busy the slowest rank is, overall and in steps.

Experts are placed by the loads of one half of the requests, and judged on the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.experts.load_aware import load_aware
from simulator.experts.loads import rank_loads
from simulator.experts.placement import Placement, contiguous, round_robin
from simulator.experts.placement_kinds import seen_loads
from simulator.experts.rebalancing import moves, moving_s
from simulator.experts.routes import Routes
from simulator.hardware.topology import Topology
from simulator.models.architecture import Architecture, experts_of
from simulator.models.parameters import expert_bytes
from simulator.streams import Streams
from simulator.trace.json_file import Json

Floats = NDArray[np.float64]

_STEPS = 100
"""Steps that every placement is judged on (kind: assumed)."""


class Batch(NamedTuple):
    """The steps that placements are judged on.

    Parameters
    ----------
    requests, query_tokens
        Requests of a step, and tokens of each.
    """

    requests: int
    query_tokens: int


@dataclass(frozen=True, slots=True)
class PlacementLoads:
    """What a placement makes of the loads.

    Parameters
    ----------
    name
        Of the placement.
    placement
        Where experts lie.
    popularity
        Loads of the ranks over their mean, busiest first, when all tokens are counted together:
        what the popularity of experts does; mean over layers, shape (ranks,).
    steps
        The same within a step, mean over layers and steps: chance and requests that prefer the same
        experts come on top.
    active
        Distinct experts on the rank with most of them, in a step.
    moved_bytes, moving_s
        Weights that go over links to come from the contiguous placement to this one, and the time
        that it takes with the links to themselves, s.
    """

    name: str
    placement: Placement
    popularity: Floats
    steps: Floats
    active: float
    moved_bytes: float
    moving_s: float


def check_room(topology: Topology, ranks: int) -> int:
    """Return the nodes that so many ranks take, a GPU each.

    Raises
    ------
    ConfigError
        If the topology has fewer GPUs, or they do not fill its nodes.
    """
    nodes = -(-ranks // topology.island_gpus)
    if ranks > topology.gpus or ranks % nodes:
        raise ConfigError(
            f"ranks={ranks} do not fit {topology.title}: {topology.gpus} GPUs in nodes of "
            f"{topology.island_gpus}. Choose topology (moesim list topologies) or ranks."
        )
    return nodes


def placements_of(
    arch: Architecture, routes: Routes, ranks: int, redundant: Sequence[int], nodes: int = 1
) -> tuple[dict[str, Placement], Routes]:
    """Place experts in each way, and return the routes that none of them was made from.

    Parameters
    ----------
    arch, routes
        The model, and its routes.
    ranks
        Ranks of the expert-parallel group.
    redundant
        Replicas beside the experts of a layer; load-aware placement once with each.
    nodes
        As in `load_aware`.

    Raises
    ------
    ConfigError
        If a placement cannot be had, or the routes have one sequence only.
    """
    pool = routes.decode
    count = len(pool.lengths)
    if count < 2:
        raise ConfigError(
            "the routes have one sequence; placements are made from some and judged on others: "
            "record two or more."
        )
    seen, judged = (pool.of(np.arange(first, count, 2)) for first in (0, 1))
    moe = experts_of(arch)
    loads = seen_loads(Routes(seen, seen))
    placed = {
        "contiguous": contiguous(moe.experts, ranks),
        "round_robin": round_robin(moe.experts, ranks),
    }
    for extra in redundant:
        name = f"load_aware + {extra}" if extra else "load_aware"
        placed[name] = load_aware(loads, ranks, extra, moe.n_group, nodes)
    return placed, Routes(judged, judged)


def compare_placements(
    arch: Architecture,
    placements: dict[str, Placement],
    judged: Routes,
    batch: Batch,
    topology: Topology,
) -> list[PlacementLoads]:
    """Return what each placement makes of the same steps.

    Parameters
    ----------
    arch
        The model.
    placements
        By name; the first is what experts move from.
    judged
        Routes of the steps.
    batch
        Their size.
    topology
        Links that experts move over.
    """
    walk = judged.walk(Streams(seed=1))
    steps = [walk.step(*batch, 0) for _ in range(_STEPS)]
    every_token = judged.decode.chosen.reshape(judged.decode.layers, -1)
    first = next(iter(placements.values()))
    found = []
    for name, placement in placements.items():
        loads = [rank_loads(step, placement) for step in steps]
        fetched = moves(first, placement, arch.moe_layers)
        found.append(
            PlacementLoads(
                name,
                placement,
                popularity=_busiest_first([rank_loads(every_token, placement).tokens]),
                steps=_busiest_first([one.tokens for one in loads]),
                active=float(np.mean([one.active.max(axis=1) for one in loads])),
                moved_bytes=float(fetched.sum() * expert_bytes(arch)),
                moving_s=moving_s(fetched, expert_bytes(arch), topology),
            )
        )
    return found


def _busiest_first(loads: Sequence[Floats]) -> Floats:
    """Return loads of shape (layers, ranks) over their means, sorted, mean over all layers."""
    table = np.concatenate(loads)
    over_mean = table / table.mean(axis=1, keepdims=True)
    return np.asarray(np.sort(over_mean, axis=1)[:, ::-1].mean(axis=0))


def summary(found: Sequence[PlacementLoads]) -> Json:
    """Return figures for ``summary.json``."""
    metrics = {}
    for one in found:
        name = one.name.replace(" + ", "_")
        metrics[f"slowest_over_mean_popularity_{name}"] = float(one.popularity[0])
        metrics[f"slowest_over_mean_steps_{name}"] = float(one.steps[0])
        metrics[f"slowest_active_experts_{name}"] = one.active
        metrics[f"moving_s_{name}"] = one.moving_s
    return {"metrics": metrics}
