"""Configurations of all points of a grid: one composition per choice of groups.

Hydra takes a tenth of a second to compose a point. It applies the choices of groups first and then
the other overrides, in the order of the words. So one composition per choice of groups is enough;
the rest is applied to a copy of it by Hydra's own function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from simulator.compose import to_config
from simulator.config import Config
from simulator.errors import ConfigError, SchemaError
from simulator.study.sweep.grid import Grid, parsed


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a sweep.

    Parameters
    ----------
    overrides
        Words of ``moesim simulate`` that run it alone.
    coordinates
        Its value on every axis.
    config
        Its configuration; None if there is none.
    problem
        Why there is none; empty if there is.
    """

    overrides: tuple[str, ...]
    coordinates: tuple[Any, ...]
    config: Config | None
    problem: str = ""


def compose_points(grid: Grid) -> Iterator[Point]:
    """Compose every point of a grid, equal to `simulator.compose.compose` of its overrides.

    Yields
    ------
    Point
        In the order of the grid. Values that make no sense, by themselves or beside others, are
        told in `Point.problem`.

    Raises
    ------
    SchemaError
        If a setting is unknown or of another type.
    HydraException
        If a group or a setting is unknown.
    """
    texts = [f"{word.key}={text}" for word in grid.words for text in word.texts]
    overrides = dict(zip(texts, parsed(texts), strict=True))
    composed: dict[tuple[str, ...], DictConfig] = {}
    with initialize_config_module("simulator.conf", version_base="1.3"):
        groups = _words_of_groups(overrides)
        for words, coordinates in zip(grid.points(), grid.coordinates(), strict=True):
            choice = tuple(word for word in words if word in groups)
            if choice not in composed:
                composed[choice] = hydra_compose("config", overrides=list(choice))
            changed = deepcopy(composed[choice])
            values = [overrides[word] for word in words if word not in groups]
            ConfigLoaderImpl._apply_overrides_to_config(values, changed)
            yield _point(words, coordinates, changed)


def _words_of_groups(overrides: dict[str, Override]) -> set[str]:
    """Return the words that decide what is composed, as Hydra tells them from settings."""
    loader: Any = GlobalHydra.instance().config_loader()
    where = [word for word in overrides if word.startswith("hydra.")]  # hydra.searchpath
    _, repository = loader._parse_overrides_and_create_caching_repo("config", where)
    chosen = {
        word
        for word, override in overrides.items()
        if repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)
    }
    return chosen.union(where)


def _point(words: tuple[str, ...], coordinates: Sequence[Any], composed: DictConfig) -> Point:
    try:
        return Point(words, tuple(coordinates), to_config(composed))
    except SchemaError:
        raise
    except ConfigError as error:
        return Point(words, tuple(coordinates), None, str(error))
