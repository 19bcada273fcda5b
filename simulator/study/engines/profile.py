"""A fitted engine profile as a file that ``hardware.engine=`` takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from simulator.costs.engine import Engine
from simulator.study.engines.fit import EngineFit
from simulator.study.engines.search import Estimate

DIGITS = 6
"""Significant digits of fitted figures in the file."""


def profile(fit: EngineFit, base: Engine, data: Path, title: str) -> dict[str, Any]:
    """Return the profile as a mapping: every figure with value, unit, source and kind.

    Parameters
    ----------
    fit, base
        What was fitted, and the profile that holds where nothing was.
    data
        The measured rows, named as the source with a hash of their content.
    title
        What to call the profile.
    """
    digest = hashlib.sha256(data.read_bytes()).hexdigest()[:12]
    origin = f"moesim calibrate engine, {fit.rows} rows of {data.name} (sha256 {digest}), "
    origin += f"{date.today():%Y-%m-%d}"
    figures: dict[str, dict[str, Any]] = {
        key: {"value": q.value, "unit": q.unit, "kind": q.kind, "source": q.source}
        for key, q in base.provenance.items()
    }
    for key, more in _carried(fit).items():
        value = _rounded(more)
        why = "as much above a plain step as before the fit"
        figures[key] = _figure(value, "s", "assumed", f"{origin}: {why}")
    for refused in fit.refused:
        why = f"{origin}: came out at {refused.value:.3g} s, so is taken for none"
        figures[refused.unknown.key] = _figure(0.0, "s", "fitted", why)
    for one in fit.estimates:
        source = f"{origin}: {_interval(one)}"
        figures[one.unknown.key] = _figure(_rounded(one.value), one.unknown.unit, "fitted", source)
    prompt = fit.engine.routing_prompt
    if prompt is not None and "routing_prompt" not in figures:
        why = "no prompt was measured; their tokens route independently, so read the most experts"
        figures["routing_prompt"] = _figure(prompt, "1", "assumed", why)
    return {"title": title, "tables": base.tables} | figures


def write_profile(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a profile as YAML, one figure a line; return the path."""
    lines = ["# What the serving engine itself costs, beside the model's kernels; calibrated.\n"]
    for key, entry in content.items():
        style = None if isinstance(entry, Mapping) else False
        one = {key: entry}
        lines.append(yaml.safe_dump(one, default_flow_style=style, width=10_000, sort_keys=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _carried(fit: EngineFit) -> dict[str, float]:
    """Return host times of a round that follow those of a plain step, for want of rounds."""
    fitted = {one.unknown.key for one in fit.estimates} | {one.unknown.key for one in fit.refused}
    pairs = (("plain_step", "verify_step"), ("plain_request", "verify_request"))
    return {
        verify: getattr(fit.engine, f"{verify}_s")
        for plain, verify in pairs
        if plain in fitted and verify not in fitted
    }


def _interval(one: Estimate) -> str:
    if one.at_bound:
        return "at its physical bound"
    if one.half_width is None:
        return "as many unknowns as rows, so without an interval"
    low, high = one.value - one.half_width, one.value + one.half_width
    return f"95 % interval {low:.3g} to {high:.3g}"


def _figure(value: float, unit: str, kind: str, source: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "kind": kind, "source": source}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
