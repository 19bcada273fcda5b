"""The catalogue: architectures and drafters shipped as data, one YAML file each.

The same files are the options of the configuration groups ``model`` and ``drafter``, so that every
field can be overridden from the command line.
"""

from __future__ import annotations

from functools import cache

from simulator.mapping import from_mapping
from simulator.models.architecture import Architecture
from simulator.models.drafters import Drafter
from simulator.quantities import data_names, read_data

_MODELS = "simulator.conf.model"
_DRAFTERS = "simulator.conf.drafter"

FALLBACK_DRAFTER = "eagle3"
"""Drafter of a model that no drafter lists: a head can be trained for any model."""


def model_names() -> list[str]:
    """List the architectures in the catalogue."""
    return data_names(_MODELS)


def drafter_names() -> list[str]:
    """List the drafters in the catalogue."""
    return data_names(_DRAFTERS)


def default_drafter(model: str) -> str:
    """Return the name of the drafter that a model is usually run with.

    Parameters
    ----------
    model
        Name of an architecture. One that no drafter lists gets `FALLBACK_DRAFTER`.

    Examples
    --------
    >>> default_drafter("qwen2_57b_a14b"), default_drafter("mixtral_8x7b")
    ('qwen2_0_5b', 'eagle3')
    """
    usual = (name for name in drafter_names() if model in load_drafter(name).usual_for)
    return next(usual, FALLBACK_DRAFTER)


@cache
def load_architecture(name: str) -> Architecture:
    """Load one architecture by name.

    Raises
    ------
    TableError
        If there is no such architecture; the message names the nearest.
    ConfigError
        If its file has an unknown, missing or contradictory field.

    Examples
    --------
    >>> load_architecture("qwen2_57b_a14b").moe.experts
    64
    """
    return from_mapping(Architecture, read_data(_MODELS, name, "model"), "model")


@cache
def load_drafter(name: str) -> Drafter:
    """Load one drafter by name.

    Raises
    ------
    TableError
        If there is no such drafter; the message names the nearest.
    ConfigError
        If its file has an unknown, missing or contradictory field.

    Examples
    --------
    >>> load_drafter("eagle3").kind
    'head'
    """
    return from_mapping(Drafter, read_data(_DRAFTERS, name, "drafter"), "drafter")
