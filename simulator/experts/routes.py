"""Where routes come from: the pools of a routing law, made once and walked along by every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, TableError
from simulator.experts.config import EXPONENTS, RoutingConfig
from simulator.experts.heterogeneity import layer_archetypes
from simulator.experts.pool import PoolWalk, RoutePool
from simulator.experts.recorded import read_routes
from simulator.experts.sampling import (
    Archetype,
    archetype_names,
    measured_archetype,
    sample_routing,
)
from simulator.models.architecture import Architecture, experts_of
from simulator.registry import Registry
from simulator.streams import Streams

DECODE = (256, 32)
"""Sequences of a sampled pool, and tokens of each (kind: assumed): many requests, briefly."""

PROMPTS = (32, 256)
"""Sequences of its prompts, and tokens of each (kind: assumed): few requests, for long."""

DRAWN_LAYERS = 8
"""Layers that are drawn; further ones are drawn ones with experts and sequences shuffled."""


class Routes(NamedTuple):
    """Routes through all MoE layers of a model.

    Parameters
    ----------
    decode, prompts
        Of tokens that decode, and of prompts; of one recording, the same.
    """

    decode: RoutePool
    prompts: RoutePool

    def walk(self, streams: Streams, replica: int = 0) -> PoolWalk:
        """Return a walk of one replica's steps along the routes."""
        return PoolWalk(self.decode, streams, self.prompts, replica)


ROUTES: Registry[Callable[[RoutingConfig, Architecture, int], Routes]] = Registry("routes")
"""By routing law: from its settings, a model with experts and a seed to routes."""


def routes_of(config: RoutingConfig, arch: Architecture, seed: int) -> Routes:
    """Return the routes of a model under a routing law.

    Parameters
    ----------
    config
        The law and its settings.
    arch
        The model.
    seed
        Of the run; replications share the routes and walk along them in ways of their own.

    Raises
    ------
    SimulatorError
        If the model has no experts, or the law knows no single experts, or cannot be followed.
    """
    check_routes(config, arch)
    return ROUTES.get(config.law)(config, arch, seed)


def check_routes(config: RoutingConfig, arch: Architecture) -> None:
    """Refuse routes that cannot be drawn; cheap, other than drawing or reading them.

    Raises
    ------
    ConfigError
        If the model has no experts or no archetype, or the law knows no single experts.
    """
    experts_of(arch)
    ROUTES.get(config.law, "routing.law, for experts.fidelity other than expected")
    if config.law == "sampled":
        archetype_of(config, arch)
    for key in EXPONENTS:
        if getattr(config, key) is not None:
            raise ConfigError(
                f"routing.{key}={getattr(config, key)!r} says how many experts tokens share, not "
                f"which; choose routing=sampled with routing.overlap, or experts.fidelity=expected."
            )


@ROUTES.register("overlap")
def overlap_routes(config: RoutingConfig, arch: Architecture, seed: int) -> Routes:
    """Return routes with the overlap measured for the model; uniform ones where none was."""
    law = "sampled" if arch.name in archetype_names() else "uniform"
    return ROUTES.get(law)(replace(config, law=law), arch, seed)


@ROUTES.register("uniform")
def uniform_routes(config: RoutingConfig, arch: Architecture, seed: int) -> Routes:
    """Return routes of tokens that pick experts independently and uniformly."""
    del config
    return _sampled((_shaped(Archetype(experts=1, top_k=1), arch),), arch.moe_layers, seed)


@ROUTES.register("sampled")
def sampled_routes(config: RoutingConfig, arch: Architecture, seed: int) -> Routes:
    """Return routes drawn from the archetype of the model, or of the one named."""
    archetype, overlap, layer_sd = archetype_of(config, arch)
    drawn = min(arch.moe_layers, DRAWN_LAYERS)
    return _sampled(layer_archetypes(archetype, overlap, layer_sd, drawn), arch.moe_layers, seed)


@ROUTES.register("recorded")
def recorded_routes(config: RoutingConfig, arch: Architecture, seed: int) -> Routes:
    """Return the routes of a file."""
    del seed
    pool = read_routes(str(config.path), arch)
    return Routes(pool, pool)


def archetype_of(config: RoutingConfig, arch: Architecture) -> tuple[Archetype, float, float]:
    """Return archetype, overlap to calibrate it to, and how far layers differ, as configured.

    Raises
    ------
    ConfigError
        If neither the model nor the name in ``routing.archetype`` has an archetype.
    """
    try:
        known = measured_archetype(config.archetype or arch.name)
    except TableError as error:
        raise ConfigError(
            f"routing.archetype={config.archetype or 'null'}: {error} Name one of these that is "
            f"like {arch.title}, or choose routing=uniform."
        ) from error
    keys = ("popularity_sd", "request_sd", "token_sd", "persistence")
    given = {key: getattr(config, key) for key in keys if getattr(config, key) is not None}
    overlap = known.overlap if config.overlap is None else config.overlap
    layer_sd = known.layer_sd if config.layer_sd is None else config.layer_sd
    return _shaped(replace(known.archetype, **given), arch), overlap, layer_sd


def _shaped(archetype: Archetype, arch: Architecture) -> Archetype:
    """Return an archetype with the experts and groups of a model."""
    moe = experts_of(arch)
    return replace(
        archetype,
        experts=moe.experts,
        top_k=moe.top_k,
        n_group=moe.n_group,
        topk_group=moe.topk_group,
    )


@lru_cache(maxsize=2)
def _sampled(archetypes: tuple[Archetype, ...], layers: int, seed: int) -> Routes:
    return Routes(*(sample_pool(archetypes, layers, *size, seed) for size in (DECODE, PROMPTS)))


def sample_pool(
    archetypes: tuple[Archetype, ...], layers: int, sequences: int, tokens: int, seed: int
) -> RoutePool:
    """Draw a pool of routes.

    Parameters
    ----------
    archetypes
        Of the first layers; further ones take them in turn.
    layers
        MoE layers of the model.
    sequences, tokens
        Sequences, and tokens of each.
    seed
        Of the draws.

    Notes
    -----
    At most `DRAWN_LAYERS` layers are drawn. What is left of a layer when its experts (groups, and
    experts in them) and its sequences are shuffled has the same law, and is a layer of its own:
    experts that are popular lie elsewhere, and requests that meet prefer others.
    """
    streams = Streams(seed)
    drawn: list[NDArray[Any]] = []
    for layer in range(min(layers, DRAWN_LAYERS)):
        archetype = archetypes[layer % len(archetypes)]
        routes = sample_routing(archetype, sequences, tokens, streams, layer)
        drawn.append(routes.astype(np.min_scalar_type(archetype.experts - 1)))
    for layer in range(len(drawn), layers):
        source = drawn[layer % DRAWN_LAYERS]
        names = _shuffled_experts(archetypes[0], streams, layer).astype(source.dtype)
        order = streams.block("shuffled sequences", layer).permutation(sequences)
        drawn.append(names[source[order]])
    flat = np.stack(drawn).reshape(layers, sequences * tokens, -1)
    return RoutePool(archetypes[0].experts, flat, np.full(sequences, tokens))


def _shuffled_experts(archetype: Archetype, streams: Streams, layer: int) -> NDArray[np.int64]:
    """Return new numbers of the experts; those of a group stay together."""
    draws = streams.block("shuffled experts", layer)
    groups = archetype.n_group
    size = archetype.experts // groups
    inside = draws.permuted(np.tile(np.arange(size), (groups, 1)), axis=1)
    return np.ravel(size * draws.permutation(groups)[:, None] + inside)
