"""Observe, calibrate, replay, compare: a folder of measurements of a real engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.costs.engine import Engine
from simulator.errors import DataError
from simulator.speculation.theory import expected_tokens_per_round
from simulator.study.engines.bench import bench_of
from simulator.study.engines.calibration import (
    Calibration,
    Predicted,
    calibrate,
    figures,
    mean_size,
    predict,
)
from simulator.study.engines.checks import check_enough, check_rows
from simulator.study.engines.models import Measured, read_models
from simulator.study.engines.replay import FIGURES, Replay, replay
from simulator.study.engines.requests import MeasuredRun, read_runs
from simulator.study.engines.step_rows import StepRow, read_steps
from simulator.trace.json_file import Json

FILES = ("models.yaml", "steps.csv", "requests.csv")

ALPHA = 0.8
"""Acceptance of the speedups where no run states one; it cancels in their errors."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder of measurements holds."""

    path: Path
    measured: Measured
    steps: list[StepRow]
    runs: list[MeasuredRun]


@dataclass(frozen=True, slots=True)
class Speedup:
    """Speedup at one point from step times: tokens per round over round time, against plain steps.

    Parameters
    ----------
    row
        The round.
    measured, predicted
        Both from their own times, with the same tokens per round.
    """

    row: StepRow
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True, slots=True)
class EngineValidation:
    """What was found.

    Parameters
    ----------
    folder
        What was measured.
    calibration
        The fit; None where a profile was given.
    predicted
        All rows of ``steps.csv``.
    speedups
        Rounds whose plain step was measured too.
    replays
        The runs.
    """

    folder: Folder
    calibration: Calibration | None
    predicted: tuple[Predicted, ...]
    speedups: tuple[Speedup, ...]
    replays: tuple[Replay, ...]

    @property
    def drafts_replayed(self) -> bool:
        """Whether a run with speculation was among them."""
        return any(one.run.gamma for one in self.replays)


def read_folder(path: Path) -> Folder:
    """Read a folder of measurements.

    Raises
    ------
    SimulatorError
        If a file is missing or makes no sense; names file and line.
    """
    if not path.is_dir():
        raise DataError(f"data={str(path)!r} is no folder; it holds {', '.join(FILES)}.")
    models, steps, requests = (path / name for name in FILES)
    return Folder(path, read_models(models), read_steps(steps), read_runs(requests))


def validate_engine(
    folder: Folder,
    gpu: str,
    base: Engine,
    *,
    eager: bool,
    fit: bool,
    advance: Callable[[], None] = lambda: None,
) -> EngineValidation:
    """Calibrate on the rows marked so, predict the others, and replay every run.

    Parameters
    ----------
    folder
        The measurements.
    gpu, base, eager
        Hardware, and as in `engine_fit.fit_engine`.
    fit
        False takes ``base`` as it is, calibrated elsewhere, and predicts every row.
    advance
        Called after every fit and every replay (`work_of`).
    """
    bench, steps = bench_of(folder.measured, gpu, base), folder.path / "steps.csv"
    check_rows(steps, folder.steps, bench, base)
    calibration, engine = None, base
    if fit:
        check_enough(steps, [row for row in folder.steps if row.role == "calibrate"])
        calibration = calibrate(folder.steps, bench, base, eager=eager, advance=advance)
        engine, predicted = calibration.fit.engine, calibration.predicted
    else:
        predicted = tuple(predict(row, bench, engine) for row in folder.steps)
    replays = []
    for run in folder.runs:
        replays.append(replay(run, folder.measured, gpu, engine))
        advance()
    alpha = next((run.alpha for run in folder.runs if run.alpha), ALPHA)
    return EngineValidation(
        folder, calibration, predicted, tuple(_speedups(predicted, alpha)), tuple(replays)
    )


def work_of(folder: Folder, *, fit: bool) -> int:
    """Return how often `validate_engine` calls ``advance``."""
    fits = 1 + sum(row.role == "calibrate" for row in folder.steps) if fit else 0
    return fits + len(folder.runs)


def _speedups(predicted: Sequence[Predicted], alpha: float) -> list[Speedup]:
    plain = {(p.row.model, p.row.batch): p for p in predicted if not p.row.gamma}
    found = []
    for one in predicted:
        row, other = one.row, plain.get((one.row.model, one.row.batch))
        if row.gamma and other is not None:
            tokens = float(expected_tokens_per_round(alpha, row.gamma))
            found.append(
                Speedup(
                    row,
                    tokens * other.row.step_s / row.step_s,
                    tokens * other.times.step_s / one.times.step_s,
                )
            )
    return found


def metrics(validation: EngineValidation) -> dict[str, float | None]:
    """Return the errors, as fractions; all but the signed ones are sizes.

    ``step_mape`` and ``speedup_mape`` are over rows that nothing was fitted to, the rows of role
    ``check``, or over all rows where a profile was given. ``*_p50_error`` are the mean sizes, over
    the runs, of the relative errors of the medians.
    """
    calibration = validation.calibration
    unseen = [p for p in validation.predicted if calibration is None or p.row.role == "check"]
    lines = {p.row.line for p in unseen}
    found: dict[str, float | None] = {
        "step_mape": mean_size([p.error for p in unseen]),
        "step_mape_given_experts": mean_size([p.given_s / p.row.step_s - 1 for p in unseen]),
        "speedup_mape": mean_size([s.error for s in validation.speedups if s.row.line in lines]),
        "fitted_step_mape": calibration.mape("calibrate") if calibration else None,
        "left_out_step_mape": mean_size(calibration.left_out) if calibration else None,
    }
    for figure in FIGURES:
        name = figure.removesuffix("_s")
        errors = [one.median_error(figure) for one in validation.replays]
        found[f"{name}_p50_error"] = mean_size(errors)
        for one, error in zip(validation.replays, errors, strict=True):
            found[f"{name}_p50_signed_error_{one.run.name}"] = error
    return found


def summary(validation: EngineValidation) -> Json:
    """Return what goes into ``summary.json``."""
    found: Json = {
        "metrics": metrics(validation),
        "data": str(validation.folder.path),
        "drafts_replayed": validation.drafts_replayed,
        "runs": [
            {
                "run": one.run.name,
                "requests": len(one.run.rows),
                "gamma": one.run.gamma,
                **{f"{f}_measured": one.run.latencies.median_s(f) for f in FIGURES},
                **{f"{f}_simulated": one.simulated.median_s(f) for f in FIGURES},
            }
            for one in validation.replays
        ],
    }
    if validation.calibration is not None:
        found["calibration"] = figures(validation.calibration)
    return found
