"""Placements by the name in ``experts.placement``, checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, unknown
from simulator.experts.config import CONTIGUOUS, LOAD_AWARE, ExpertsConfig
from simulator.experts.load_aware import check_replicas, load_aware
from simulator.experts.loads import count_experts
from simulator.experts.placement import EMPTY, Placement, contiguous, round_robin
from simulator.experts.placement_file import from_file
from simulator.experts.routes import Routes
from simulator.models.architecture import Moe
from simulator.quantities import names_a_file
from simulator.registry import Registry

Floats = NDArray[np.float64]


class Asked(NamedTuple):
    """What a placement is to be for.

    Parameters
    ----------
    experts, ranks, redundant
        Experts of a layer, ranks, and replicas beside one slot for each expert.
    groups, nodes
        As in `load_aware`.
    loads
        Token copies of each expert, shape (layers, experts); one layer stands for all.
    """

    experts: int
    ranks: int
    redundant: int
    groups: int
    nodes: int
    loads: Floats


PLACEMENTS: Registry[Callable[[Asked], Placement]] = Registry("placement")
"""By kind: from what is asked for to where experts lie."""


@PLACEMENTS.register(CONTIGUOUS)
def _contiguous(asked: Asked) -> Placement:
    """Experts in their order, equally many on each rank."""
    return contiguous(asked.experts, asked.ranks)


@PLACEMENTS.register("round_robin")
def _round_robin(asked: Asked) -> Placement:
    """Experts dealt out to the ranks in turn."""
    return round_robin(asked.experts, asked.ranks)


@PLACEMENTS.register(LOAD_AWARE)
def _load_aware(asked: Asked) -> Placement:
    """Experts packed by their loads, hot ones replicated, after DeepSeek's EPLB."""
    return load_aware(asked.loads, asked.ranks, asked.redundant, asked.groups, asked.nodes)


def place_experts(
    config: ExpertsConfig, moe: Moe, ranks: int, routes: Routes, nodes: int = 1
) -> Placement:
    """Return where the experts of each layer lie when a run begins.

    Parameters
    ----------
    config
        The config group ``experts``.
    moe
        Experts of the model.
    ranks
        Over how many ranks they are spread.
    routes
        What ``load_aware`` balances: the loads of all their tokens, as if traffic like that had
        been seen before. With a period of rebalancing nothing has been seen yet: all count alike.
    nodes
        Nodes that the ranks lie on, in equal blocks.

    Raises
    ------
    SimulatorError
        As `check_placement`.
    """
    check_placement(config, moe, ranks)
    if names_a_file(config.placement):
        return from_file(config.placement, moe.experts, ranks)
    even = config.rebalance_period_s is not None
    loads = np.ones((1, moe.experts)) if even else seen_loads(routes)
    asked = Asked(moe.experts, ranks, config.redundant, moe.n_group, nodes, loads)
    return PLACEMENTS.get(config.placement, "experts.placement")(asked)


def seen_loads(routes: Routes) -> Floats:
    """Return the token copies that each expert of each layer gets from all tokens that decode.

    Returns
    -------
    ndarray of float, shape (layers, experts)
    """
    pool = routes.decode
    return count_experts(pool.chosen.reshape(pool.layers, -1), pool.experts).astype(float)


def check_placement(config: ExpertsConfig, moe: Moe, ranks: int, layers: int | None = None) -> None:
    """Refuse a placement that is not there, does not fit, or has no effect.

    Parameters
    ----------
    config, moe, ranks
        As in `place_experts`.
    layers
        MoE layers of the model; None where no file is to be held against them.

    Raises
    ------
    ConfigError
        If the kind is unknown, there is nothing to place, or a file has other layers or gives a
        rank more than it has room for; the message says what to do.
    DataError
        If a file cannot be read, misses or repeats experts, is for another model or other ranks.
    """
    name = config.placement
    if name != CONTIGUOUS and ranks == 1:
        raise ConfigError(
            f"experts.placement={name} has no effect where experts are not spread; set "
            f"hardware.expert_parallel, or experts.placement={CONTIGUOUS}."
        )
    if names_a_file(name):
        placement = from_file(name, moe.experts, ranks)
        if layers is not None and placement.layers not in (1, layers):
            raise ConfigError(
                f"experts.placement={name} places {placement.layers} layers, but the model has "
                f"{layers} with experts; place all alike, or each of them."
            )
        _check_room(placement, config)
    elif name not in PLACEMENTS:
        choices = [*PLACEMENTS, "path of a placement file"]
        raise ConfigError(unknown("placement", name, choices, "experts.placement"))
    elif config.redundant:
        check_replicas(moe.experts, ranks, config.redundant)


def _check_room(placement: Placement, config: ExpertsConfig) -> None:
    """Refuse a file that takes other memory than the deployment sets aside."""
    held = (placement.slots != EMPTY).sum(axis=(1, 2))
    room = -(-(placement.experts + config.redundant) // placement.ranks)
    for layer, slots in enumerate(held.tolist()):
        if slots != placement.experts + config.redundant:
            raise ConfigError(
                f"experts.placement={config.placement}: layer {layer} has "
                f"{slots - placement.experts} replicas, but experts.redundant="
                f"{config.redundant}, which memory is set aside for; make them agree."
            )
    if placement.slots.shape[2] > room:
        _, rank = np.argwhere(placement.slots[..., room] != EMPTY)[0]
        raise ConfigError(
            f"experts.placement={config.placement}: rank {rank} holds more than the {room} "
            f"experts that each GPU has room for; even them out."
        )
