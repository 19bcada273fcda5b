"""Measured routing overlap of models (``workloads/routing``)."""

from __future__ import annotations

from simulator.quantities import Quantity, read_data

_FILE = "overlaps"


def measured_overlap(model: str) -> Quantity | None:
    """Return the exponent g fitted to the measured unions of a model, or None where there is none.

    Examples
    --------
    >>> measured_overlap("qwen3_30b_a3b").value, measured_overlap("deepseek_v3")
    (0.65, None)
    """
    data = read_data("simulator.workloads.routing", _FILE, "routing profile")
    if model not in data:
        return None
    return Quantity.read(data[model], f"workloads/routing/{_FILE}.yaml: {model}")
