"""What requests of a workload have in common, told from its settings."""

from __future__ import annotations

from simulator.workload.config import WorkloadConfig
from simulator.workload.preset import Preset
from simulator.workload.presets import read_preset

HASHED_FORMATS = ("agentic", "bailian", "csv", "mooncake", "parquet")
"""Formats of traces whose requests may have prefix hashes."""

SESSION_FORMATS = ("agentic", "bailian", "burstgpt", "csv", "parquet")
"""Formats of traces whose requests may be turns of sessions."""


def has_sessions(config: WorkloadConfig) -> bool:
    """Tell whether requests are turns of sessions, which a router may keep together.

    Raises
    ------
    TableError
        If a preset is unknown.

    Examples
    --------
    >>> has_sessions(WorkloadConfig(preset="agentic")), has_sessions(WorkloadConfig(preset="chat"))
    (True, False)
    """
    if config.kind == "trace":
        return config.format in SESSION_FORMATS
    return config.sessions is not None or any(one.sessions for one in _presets(config))


def shares_prefixes(config: WorkloadConfig) -> bool:
    """Tell whether prompts of different requests begin alike.

    Raises
    ------
    TableError
        If a preset is unknown.
    """
    if config.shared_prefix is not None:
        return True
    if config.kind == "trace":
        return config.format in HASHED_FORMATS
    if has_sessions(config):
        return True
    return any(one.documents for one in _presets(config))


def _presets(config: WorkloadConfig) -> list[Preset]:
    """Return the presets of an open loop."""
    names = [part.preset for part in config.mix]
    if config.kind == "preset" and config.preset is not None:
        names.append(config.preset)
    return [read_preset(name) for name in names]
