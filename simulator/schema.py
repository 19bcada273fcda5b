"""The Hydra side of the configuration: schema, and from composed config to dataclasses."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from simulator.config import Config

OVERRIDE_MODULE = "pkg://simulator.conf"
"""Where Hydra finds the shipped groups."""


def register() -> None:
    """Tell Hydra the types of the settings."""
    ConfigStore.instance().store(name="schema", node=Config)


def to_config(composed: DictConfig) -> Config:
    """Turn a composed Hydra config into frozen dataclasses; nothing of Hydra goes further.

    Raises
    ------
    ConfigError
        If a value makes no sense by itself or beside another.
    """
    config = OmegaConf.to_object(composed)
    if not isinstance(config, Config):
        raise TypeError(f"expected a Config, Hydra composed a {type(config).__name__}")
    return config
