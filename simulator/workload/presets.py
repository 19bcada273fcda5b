"""Presets: workloads fitted to public traces, read from ``workloads/presets/*.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from simulator.quantities import data_names, names_a_file, read_data, read_data_file
from simulator.workload.preset import Origin, Preset
from simulator.workload.preset_reader import parse_preset
from simulator.workload.preset_writer import dump_preset

__all__ = [
    "DEFAULT_PRESET",
    "Origin",
    "Preset",
    "dump_preset",
    "parse_preset",
    "preset_names",
    "read_preset",
]

DEFAULT_PRESET = "chat"
"""Taken where the kind ``preset`` names none."""

_PACKAGE = "simulator.workloads.presets"


def preset_names() -> list[str]:
    """List the presets in ``workloads/presets``.

    Examples
    --------
    >>> preset_names()[:3]
    ['agentic', 'chat', 'code']
    """
    return data_names(_PACKAGE)


def read_preset(name: str) -> Preset:
    """Read a preset by name, or from a file of the same form.

    Raises
    ------
    TableError
        If there is none of that name, or its file is incomplete.

    Examples
    --------
    >>> preset = read_preset("chat")
    >>> preset.rate, preset.output.max_tokens, preset.provenance["arrivals.rate"].kind
    (5.53, 1000, 'measured')
    """
    if names_a_file(name):
        return parse_preset(Path(name).stem, read_data_file(name, "preset"), name)
    return _shipped(name)


@cache
def _shipped(name: str) -> Preset:
    return parse_preset(name, read_data(_PACKAGE, name, "preset"))
