"""MoESD reproduced bottom-up (arXiv 2505.19645): calibrate, simulate, compare."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.costs.engine import load_engine
from simulator.errors import ConfigError
from simulator.study.moesd.activation import ActivationStudy
from simulator.study.moesd.bottom_up import ENGINE, BottomUp, Plan, plan_bottom_up, reproduce
from simulator.study.moesd.calibration import Calibration, calibrate_dense, calibrate_moe
from simulator.study.moesd.choices import Choice, other_models, other_pairs
from simulator.study.moesd.experiment import DENSE, MOE, REFERENCE_GAMMA, reference_curve
from simulator.study.moesd.fit import FitStudy
from simulator.study.moesd.layers import LayerTime, layer_times
from simulator.study.moesd.scores import Reproduced, crossover, mean_error, peak_error


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is known before anything is simulated.

    Parameters
    ----------
    readings
        How the step times of Qwen2-57B-A14B were read; the last reading was kept.
    dense
        Calibration of OPT-30B.
    plans
        The runs, by pair.
    """

    readings: list[Calibration]
    dense: Calibration
    plans: dict[str, Plan]

    @property
    def moe(self) -> Calibration:
        """The calibration of Qwen2-57B-A14B that was kept."""
        return self.readings[-1]

    @property
    def runs(self) -> int:
        """How many runs `validate_moesd` simulates."""
        return sum(len(plan.cells) for plan in self.plans.values())


@dataclass(frozen=True, slots=True)
class MoesdValidation:
    """The bottom-up reproduction and what other calibrations would have given.

    Parameters
    ----------
    prepared
        Calibrations and plans.
    found
        The curves.
    models, pairs
        Other models and readings, and other pairs of batches, by the closed form.
    layers
        Layer times, on which nothing was calibrated.
    """

    prepared: Preparation
    found: BottomUp
    models: list[Choice]
    pairs: list[Choice]
    layers: list[LayerTime]

    @property
    def crossover(self) -> float | None:
        """Batch at which the MoE's speedup overtakes the dense pair's (temperature 0, gamma 4)."""
        moe, dense = _reference(self.found.moe.speedups), _reference(self.found.dense.speedups)
        return crossover(moe.curve.batch, moe.value, dense.value)

    @property
    def published_crossover(self) -> float | None:
        """The same of the published curves."""
        moe, dense = _reference(self.found.moe.speedups), _reference(self.found.dense.speedups)
        return crossover(moe.curve.batch, moe.published, dense.published)


def prepare(batches: Sequence[int] | None = None) -> Preparation:
    """Calibrate both pairs and lay out the runs.

    Parameters
    ----------
    batches
        Simulate these batches alone; None takes all that were published.

    Raises
    ------
    ConfigError
        If a batch was not published.
    """
    known = reference_curve(MOE).batch
    for batch in batches or ():
        if batch not in known:
            raise ConfigError(
                f"batch={batch} was not published; choose from {', '.join(map(str, known))}."
            )
    start = load_engine(ENGINE)
    readings, dense = calibrate_moe(start), calibrate_dense(start)
    return Preparation(readings, dense, plan_bottom_up(readings[-1], dense, batches))


def validate_moesd(
    prepared: Preparation, *, workers: int, advance: Callable[[float], None]
) -> MoesdValidation:
    """Simulate the runs and compare.

    Parameters
    ----------
    prepared
        Of `prepare`.
    workers
        Processes that simulate.
    advance
        Told 1 after each run.
    """
    start = load_engine(ENGINE)
    return MoesdValidation(
        prepared,
        reproduce(prepared.plans, workers, advance),
        other_models(start, prepared.readings),
        other_pairs(prepared.moe),
        layer_times(start),
    )


def bottom_up_metrics(validation: MoesdValidation) -> dict[str, float | None]:
    """Return the figures by name; errors are fractions, means over predicted cells."""
    found = validation.found
    windows = {s.found.curve.top_k: s for s in found.sparsity if _is_reference(s.found)}
    return {
        "moe_speedup_mape": mean_error(found.moe.speedups),
        "dense_speedup_mape": mean_error(found.dense.speedups),
        "peak_value_error": peak_error(found.moe.speedups),
        "uncalibrated_moe_mape": mean_error(found.moe_uncalibrated.speedups),
        "uncalibrated_dense_mape": mean_error(found.dense_uncalibrated.speedups),
        "moe_target_efficiency_mape": mean_error([found.moe.efficiency]),
        "dense_target_efficiency_mape": mean_error([found.dense.efficiency]),
        "crossover_batch": validation.crossover,
        **{f"window_{k}": s.ours.width for k, s in windows.items()},
        **{f"best_batch_{k}": float(s.ours.best_batch) for k, s in windows.items()},
        "sparsity_speedup_mape": mean_error([s.found for s in found.sparsity]),
        "moe_calibrated_numbers": float(len(validation.prepared.moe.numbers)),
        "dense_calibrated_numbers": float(len(validation.prepared.dense.numbers)),
    }


def summary(
    validation: MoesdValidation, fitted: FitStudy, activation: ActivationStudy
) -> dict[str, Any]:
    """Return what ``summary.json`` holds.

    Parameters
    ----------
    validation
        The bottom-up reproduction.
    fitted, activation
        The fit of the paper's own model, and N(t).
    """
    prepared = validation.prepared
    return {
        "command": "validate moesd",
        "calibration": {MOE: prepared.moe.numbers, DENSE: prepared.dense.numbers},
        "refused": {r.title: r.negative for r in prepared.readings if r.negative},
        "pairs": {
            f"{c.pair[0]},{c.pair[1]}": {"error": c.error, "refused": c.refused}
            for c in validation.pairs
        },
        "metrics": bottom_up_metrics(validation) | fitted.metrics | activation.metrics,
    }


def cell_rows(validation: MoesdValidation) -> list[dict[str, Any]]:
    """Return one row per cell: what was published, what came out, and its role."""
    found = validation.found
    curves = [s.found for s in found.sparsity]
    for pair in (found.moe, found.dense):
        curves += [*pair.speedups, pair.efficiency]
    return [row for one in curves for row in _rows(one)]


def save_cells(validation: MoesdValidation, path: Path) -> Path:
    """Write `cell_rows` as CSV.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    rows = cell_rows(validation)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ConfigError(
            f"cannot write {str(path)!r}: {error.strerror}. Free the disk or choose another "
            "folder with hydra.run.dir=FOLDER."
        ) from error
    return path


def _rows(found: Reproduced) -> Iterator[dict[str, Any]]:
    names = ("figure", "model", "dataset", "temperature", "gamma", "top_k", "quantity")
    of_curve = {name: getattr(found.curve, name) for name in names}
    columns = (found.curve.batch, found.curve.value, found.value.tolist(), found.predicted.tolist())
    for batch, published, simulated, predicted in zip(*columns, strict=True):
        role = "predicted" if predicted else "calibrated"
        cell = {"batch": batch, "published": published, "simulated": simulated, "role": role}
        yield of_curve | cell


def _reference(found: Sequence[Reproduced]) -> Reproduced:
    """Return the speedups at temperature 0 and gamma 4."""
    (one,) = (one for one in found if _is_reference(one))
    return one


def _is_reference(found: Reproduced) -> bool:
    curve = found.curve
    return (curve.dataset, curve.temperature, curve.gamma) == ("humaneval", 0, REFERENCE_GAMMA)
