"""Placements in files of the user's own.

::

    experts: 4
    layers:                      # one table for all MoE layers, or one for each
      - [[0, 1], [2, 3], [0, 2]] # the experts on each rank; here 0 and 2 have a replica
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from simulator.errors import ConfigError, DataError, unknown
from simulator.experts.placement import EMPTY, Placement

_KEYS = ("experts", "layers")
"""Keys of a file, all needed."""

_LARGEST = int(np.iinfo(np.int64).max)
"""Larger numbers fit no table of slots."""


def from_file(path: Path | str, experts: int, ranks: int) -> Placement:
    """Read a placement.

    Parameters
    ----------
    path
        YAML file of the form above.
    experts, ranks
        Experts of a layer of the model, and ranks of the deployment, that it must be for.

    Raises
    ------
    DataError
        If the file cannot be read, has another form, or places too few or other experts or ranks;
        the message names the file, and what to do.
    """
    content = _read(Path(path))
    try:
        layers = _layers(content, experts, ranks)
        longest = max(len(row) for layer in layers for row in layer)
        filled = [[[*row, *[EMPTY] * (longest - len(row))] for row in layer] for layer in layers]
        return Placement(experts, ranks, np.array(filled))
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error


def write_placement(placement: Placement, path: Path) -> None:
    """Write a placement in the form that `from_file` reads."""
    lines = [f"experts: {placement.experts}", "layers:"]
    for layer in placement.slots:
        rows = ([int(slot) for slot in row if slot != EMPTY] for row in layer)
        lines.append(f"  - [{', '.join(map(str, rows))}]")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"experts.placement={path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no YAML: {error}") from error
    if not isinstance(content, dict) or not set(_KEYS) <= set(content):
        raise DataError(f"{path} must state {' and '.join(_KEYS)}: a table of ranks for a layer.")
    for key in content:
        if key not in _KEYS:
            raise DataError(unknown("key", str(key), _KEYS, str(path)))
    return content


def _layers(content: dict[str, Any], experts: int, ranks: int) -> list[list[list[int]]]:
    """Return the experts of each rank of each layer, checked for their form."""
    if content["experts"] != experts:
        raise ConfigError(
            f"experts={content['experts']!r}, but the model has {experts} a layer; it is for "
            f"another model."
        )
    layers = content["layers"]
    if not isinstance(layers, list) or not layers:
        raise ConfigError("layers must be a list of tables, one for all layers or one for each.")
    for number, layer in enumerate(layers):
        if not isinstance(layer, list) or not all(_is_row(row) for row in layer):
            raise ConfigError(f"layer {number} must be a list of ranks, each a list of experts.")
        if len(layer) != ranks:
            raise ConfigError(
                f"layer {number} is placed on {len(layer)} ranks, but hardware.expert_parallel is "
                f"{ranks}; place it on as many."
            )
    return layers


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and bool(row) and all(map(_is_expert, row))


def _is_expert(expert: Any) -> bool:
    return type(expert) is int and abs(expert) <= _LARGEST
