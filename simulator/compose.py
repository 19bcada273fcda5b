"""Configurations from the shipped groups, composed in Python as the command line does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from omegaconf import DictConfig, OmegaConf

from simulator.config import Config
from simulator.mapping import from_mapping


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose a configuration.

    Parameters
    ----------
    overrides
        As on the command line: ``["model=mixtral_8x7b", "speculation.gamma=3"]``.

    Raises
    ------
    ConfigError
        If a value makes no sense.
    HydraException
        If a group or a setting is unknown.

    Examples
    --------
    >>> compose(["model=mixtral_8x7b"]).model.moe.experts
    8
    """
    with initialize_config_module("simulator.conf", version_base="1.3"):
        return to_config(hydra_compose("config", overrides=list(overrides)))


def to_config(composed: DictConfig) -> Config:
    """Turn a composed Hydra config into frozen dataclasses; nothing of Hydra goes further.

    Raises
    ------
    ConfigError
        If a value is of another type, or makes no sense by itself or beside another.
    """
    values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    return from_mapping(Config, values, "")
