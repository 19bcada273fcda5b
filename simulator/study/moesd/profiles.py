"""Profiles calibrated on MoESD's figures as files that ``hardware.engine=`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.study.engines.profile import DIGITS, write_profile
from simulator.study.moesd.calibration import Calibration
from simulator.study.moesd.experiment import DENSE, MOE
from simulator.study.moesd.validate import Preparation

_CARRIED = ("verify_step", "verify_request")
"""Figures that follow those of a plain step."""


def save_profiles(prepared: Preparation, folder: Path) -> dict[str, Path]:
    """Write the calibrated profile of each pair.

    Returns
    -------
    dict
        The files by what they are.
    """
    return {
        f"engine of {model}": write_profile(
            folder / f"engine_{model}.yaml", profile(calibration, f"vLLM V0 as of MoESD, {model}")
        )
        for model, calibration in ((MOE, prepared.moe), (DENSE, prepared.dense))
    }


def profile(calibration: Calibration, title: str) -> dict[str, Any]:
    """Return a calibrated profile as a mapping: every figure with value, unit, source and kind."""
    engine = calibration.engine
    figures: dict[str, dict[str, Any]] = {
        key: {"value": one.value, "unit": one.unit, "kind": one.kind, "source": one.source}
        for key, one in engine.provenance.items()
    }
    fitted = [name for name in calibration.numbers if hasattr(engine, name)]
    for name in fitted:
        figures[name.removesuffix("_s")] = {
            "value": float(f"{getattr(engine, name):.{DIGITS}g}"),
            "unit": "s" if name.endswith("_s") else "1",
            "kind": "fitted",
            "source": f"moesim validate moesd, on arXiv 2505.19645: {calibration.title}",
        }
    for key in _CARRIED:
        moved = round(getattr(engine, f"{key}_s"), 9)
        if moved != figures[key]["value"]:
            source = "as much above a plain step as before calibration"
            figures[key] |= {"value": moved, "kind": "assumed", "source": source}
    return {"title": title, "tables": engine.tables} | figures
