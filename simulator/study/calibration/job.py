"""From a file of measurements to a fit: what ``moesim calibrate fit`` does."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError
from simulator.hardware.gpu import Gpu, load_gpu
from simulator.models.architecture import Architecture
from simulator.models.catalog import default_drafter, load_architecture, load_drafter
from simulator.models.parallelism import COMMON_SIZES, Parallelism
from simulator.models.parameters import weight_bytes
from simulator.study.calibration.bounds import Bounds, open_bounds, physical_bounds
from simulator.study.calibration.estimates import Estimate
from simulator.study.calibration.fit import STARTS, Fit, fit, half_sse
from simulator.study.calibration.measurements import TIMES, Measurements
from simulator.study.calibration.plausible import LONGEST_S, check, distinct
from simulator.study.calibration.solve import Noise
from simulator.study.calibration.table import read_table

_ASSUMED_GPU = "a100_sxm"
"""GPU whose ridge point stands in where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is known about the system that was measured.

    Parameters
    ----------
    model, drafter, hardware
        Names in the catalogue, or None. Model and hardware together bound the parameters; the
        drafter defaults to the one the model is usually run with.
    gpus
        GPUs that share the target; None takes the fewest that hold its weights.
    ridge_flop_per_byte
        Ridge point, where no hardware is named.
    longest_step_s
        Longest step time that is believed.
    """

    model: str | None = None
    drafter: str | None = None
    hardware: str | None = None
    gpus: int | None = None
    ridge_flop_per_byte: float | None = None
    longest_step_s: float = LONGEST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fit and what to know about it.

    Parameters
    ----------
    fit
        The fit.
    warnings
        What to measure so that it can be trusted more.
    assumptions
        What was assumed for want of being told.
    """

    fit: Fit
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]


def calibrate(
    path: Path, setup: Setup, noise: Noise, *, starts: int = STARTS, seed: int = 0
) -> Calibration:
    """Read measurements, refuse what cannot be, and fit the ten parameters.

    Parameters
    ----------
    path
        CSV file, see `read_table`.
    setup
        What was measured on what.
    noise
        Errors of measurement.
    starts, seed
        Of the search.

    Raises
    ------
    DataError
        If the file is malformed, or holds what cannot be.
    ConfigError, TableError
        If a setting is impossible, or a name unknown.
    """
    _check_settings(setup, noise, starts, seed)
    target = load_architecture(setup.model) if setup.model else None
    gpu = load_gpu(setup.hardware) if setup.hardware else None
    ridge, assumptions = _ridge(setup, target, gpu)
    moe = target.moe if target else None
    sizes = (moe.experts, moe.top_k) if moe else (1, 1) if target else (None, None)
    read = read_table(path, ridge, experts=sizes[0], top_k=sizes[1])
    measured, copies = distinct(read)
    bounds = _bounds(setup, target, gpu)
    warnings = check(measured, bounds, setup.longest_step_s)
    found = fit(measured, _fitting(bounds, measured), noise, starts=starts, seed=seed)
    return Calibration(
        fit=found, warnings=(*copies, *warnings), assumptions=(*assumptions, _COUNTED)
    )


_COUNTED = (
    "a verify step counts gamma tokens per request, as MoESD does, where engines process gamma + 1"
)


def _check_settings(setup: Setup, noise: Noise, starts: int, seed: int) -> None:
    positive = {
        "gpus": setup.gpus,
        "ridge": setup.ridge_flop_per_byte,
        "longest_step_s": setup.longest_step_s,
        "speedup_error": noise.speedup,
        "time_error": noise.time,
        "starts": starts,
    }
    for name, value in positive.items():
        if value is not None and not 0 < value < np.inf:
            raise ConfigError(f"{name}={value!r} must be positive.")
    if seed < 0:
        raise ConfigError(f"seed={seed!r} must be at least 0.")
    if setup.drafter and not setup.model:
        raise ConfigError(f"drafter={setup.drafter!r} needs model=: name the target as well.")
    if setup.gpus and not (setup.model and setup.hardware):
        raise ConfigError(f"gpus={setup.gpus} needs model= and hardware=: name both.")
    if setup.hardware and setup.ridge_flop_per_byte:
        raise ConfigError("hardware= has a ridge point of its own; leave ridge= out.")


def _ridge(
    setup: Setup, target: Architecture | None, gpu: Gpu | None
) -> tuple[float, tuple[str, ...]]:
    """Return the ridge point, FLOP/byte, and what was assumed about it."""
    if setup.ridge_flop_per_byte is not None:
        return setup.ridge_flop_per_byte, ()
    dtype = target.dtype if target else "bfloat16"
    if gpu is not None:
        return gpu.ridge_flop_per_byte(dtype), ()
    stand_in = load_gpu(_ASSUMED_GPU)
    ridge = stand_in.ridge_flop_per_byte("bfloat16")
    text = (
        f"a ridge point of {ridge:.0f} FLOP/byte ({stand_in.title}): name hardware= or ridge= "
        "(lambda is a share of it)"
    )
    return ridge, (text,)


def _bounds(setup: Setup, target: Architecture | None, gpu: Gpu | None) -> Bounds:
    if target is None or gpu is None:
        return open_bounds()
    drafter = load_drafter(setup.drafter or default_drafter(target.name))
    gpus = setup.gpus or _fewest(target, gpu)
    return physical_bounds(target, drafter, gpu, gpus)


def _fewest(target: Architecture, gpu: Gpu) -> int:
    for gpus in COMMON_SIZES:
        if weight_bytes(target, Parallelism(gpus)) < gpu.memory_bytes:
            return gpus
    raise ConfigError(
        f"{target.title} does not fit {COMMON_SIZES[-1]} x {gpu.title}; set gpus= to how many "
        "shared it."
    )


def _fitting(bounds: Bounds, measured: Measurements) -> Bounds:
    """Return the bounds with what the rows say: rejection measured, and a dense model."""
    points, rejections = measured.points, measured.values["reject_s"]
    if np.isfinite(rejections).any():
        bounds = bounds.with_reject_at_most(float(np.nanmax(rejections)))
    if np.all(points.top_k == points.experts):
        bounds = bounds.without_experts()
    return bounds


def summary(calibration: Calibration) -> dict[str, Any]:
    """Return what goes into ``summary.json``.

    Times are in seconds, or in plain steps where the data leave seconds free (``unit`` says so).
    """
    found = calibration.fit
    measured, known = found.measured, found.identifiability
    speedups, times = found.errors("speedup"), found.errors(*TIMES)
    metrics = {
        "values": measured.count(),
        "half_sse_speedup": half_sse(speedups) if speedups.size else None,
        "rmse_speedup": _rms(speedups),
        "rmse_time": _rms(times),
        "rank": known.rank,
        "unknowns": len(known.unknowns),
        "scale_free": found.scale_free,
    }
    return {
        "metrics": metrics,
        "parameters": {name: _told(estimate) for name, estimate in found.estimates.items()},
        "free_directions": [
            {"words": direction.words, "changes": dict(direction.changes)}
            for direction in known.null_directions
        ],
        "measure_next": list(found.missing),
        "bounds": found.bounds.source,
        "warnings": list(calibration.warnings),
        "assumptions": list(calibration.assumptions),
    }


def _told(estimate: Estimate) -> dict[str, Any]:
    """Return a parameter; one that the data do not tell has no value."""
    told = {field.name: getattr(estimate, field.name) for field in fields(estimate)}
    return told if estimate.determined else told | {"value": None, "low": None, "high": None}


def _rms(errors: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(errors**2))) if errors.size else None
