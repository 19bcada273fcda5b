"""Specifications and engine profiles as files, as a user writes them."""

from importlib.resources import files
from pathlib import Path

import yaml


def figure(value, unit):
    """A number as data files state it."""
    return {"value": value, "unit": unit, "source": "a test", "kind": "assumed"}


def machine(**changes):
    """A machine of round numbers, without measured tables."""
    spec = {
        "title": "Round machine",
        "memory": figure(64e9, "byte"),
        "memory_bandwidth": figure(1e11, "byte/s"),
        "l2_cache": figure(1e7, "byte"),
        "node_gpus": figure(1, "GPU"),
        "peak_flops": {"bfloat16": figure(1e13, "FLOP/s")},
    }
    return {key: value for key, value in (spec | changes).items() if value is not None}


def profile(shipped="vllm", **changes):
    """A shipped engine profile as a mapping, with figures changed, added, or left out (None)."""
    text = files("simulator.hardware_specs.engines").joinpath(f"{shipped}.yaml").read_text("utf-8")
    content = yaml.safe_load(text) | changes
    return {key: value for key, value in content.items() if value is not None}


def write(path: Path, content) -> str:
    """Write YAML; return the path as it goes on a command line."""
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)
