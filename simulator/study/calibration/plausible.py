"""Refusal of measurements that cannot be what they say: units, copies, too few, contradictions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.speculation.activation import activated_experts
from simulator.speculation.performance import NAMES
from simulator.study.calibration.bounds import Bounds
from simulator.study.calibration.measurements import QUANTITIES, TIMES, Measurements

Floats = NDArray[np.float64]

SPEEDUPS = (0.05, 20.0)
"""Speedups outside are percentages, or times."""

SHORTEST_S = {"ar_step_s": 1e-4, "verify_step_s": 1e-4, "draft_step_s": 1e-6, "reject_s": 1e-7}
"""Shorter times are below what launching a model's kernels takes."""

LONGEST_S = 3.0
"""Longer times of one step are a mistake in units, unless the user says otherwise."""

_APART = 300.0
"""Factor between a time and the median of its column that only a mistake in units explains."""

_FASTER = 3.0
"""Factor by which a step may beat peak bandwidth before its unit is doubted: caches, a model that
is smaller than stated."""

_SLOWER = 200.0
"""Factor by which a plain step may exceed what bandwidth allows before its unit is doubted."""

_AGAINST_PLAIN = {
    "verify_step_s": (0.3, 100.0),
    "draft_step_s": (3e-4, 5.0),
    "reject_s": (0.0, 20.0),
}
"""Where the median time of a column lies, in medians of plain steps."""

_CONTRADICTION = 2.0
"""Factor between a measured speedup and the one that the times of its row make."""

_FEW = 1.5
"""Values per unknown below which the table of MoESD (App. C.3) has its bad plans."""


def check(measured: Measurements, bounds: Bounds, longest_s: float = LONGEST_S) -> list[str]:
    """Refuse measurements that cannot be what they say.

    Parameters
    ----------
    measured
        What was read.
    bounds
        Of the parameters; those of a model and a GPU also bound its steps.
    longest_s
        Longest time of a step that is believed, s.

    Returns
    -------
    list of str
        Warnings: what may be used, and what to measure so that it can be trusted.

    Raises
    ------
    DataError
        If a value is impossible, or there are too few.
    """
    for name in TIMES:
        _check_times(measured, name, longest_s)
    _check_ratios(measured)
    _check_speedups(measured)
    _check_loads(measured, bounds)
    _check_agreement(measured)
    return [*_check_variety(measured), *_check_count(measured)]


def distinct(measured: Measurements) -> tuple[Measurements, list[str]]:
    """Leave out rows that repeat another in every value: copies, no further measurements.

    Returns
    -------
    measured
        Without the copies.
    warnings
        Which lines were left out.
    """
    points = measured.points
    table = np.column_stack(
        [points.batch, points.gamma, points.top_k, points.experts, points.sigma]
        + [np.nan_to_num(measured.values[name], nan=-1.0) for name in QUANTITIES]
    )
    _, first = np.unique(table, axis=0, return_index=True)
    kept = np.sort(first)
    copies = sorted(set(measured.lines) - {measured.lines[i] for i in kept})
    if not copies:
        return measured, []
    which = f"line {copies[0]} repeats" if len(copies) == 1 else f"lines {_some(copies)} repeat"
    return measured.rows(kept), [
        f"{measured.origin}: {which} an earlier row in every value and counts once. Measure a "
        "point again rather than copying it: the scatter tells the noise."
    ]


def _some(lines: list[int]) -> str:
    return ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")


def _refuse(measured: Measurements, row: int, text: str) -> DataError:
    return DataError(f"{measured.origin}, line {measured.lines[row]}: {text}")


def _first(wrong: NDArray[np.bool_]) -> Iterator[int]:
    """Yield the first row that is wrong, if any is."""
    yield from np.nonzero(wrong)[0][:1].tolist()


def _check_times(measured: Measurements, name: str, longest_s: float) -> None:
    times = measured.values[name]
    for row in _first(times <= 0):
        raise _refuse(measured, row, f"{name}={times[row]:g} s. A measured time is above 0.")
    unit = f"Name the column {name.removesuffix('_s')}_ms if it holds milliseconds"
    for row in _first(times > longest_s):
        raise _refuse(
            measured,
            row,
            f"{name}={times[row]:g} s is longer than a step takes. {unit}, or set "
            f"longest_step_s={np.nanmax(times) * 1.1:.2g} if steps are that slow.",
        )
    for row in _first(times < SHORTEST_S[name]):
        raise _refuse(
            measured,
            row,
            f"{name}={times[row]:.3g} s is shorter than launching its kernels takes. Are these "
            f"seconds in a column of milliseconds? {name} holds seconds.",
        )
    middle = float(np.nanmedian(times)) if np.isfinite(times).any() else 1.0
    for row in _first((times > _APART * middle) | (times < middle / _APART)):
        raise _refuse(
            measured,
            row,
            f"{name}={times[row]:.3g} s, where the column's median is {middle:.3g} s. Give all "
            "rows in one unit.",
        )


def _check_ratios(measured: Measurements) -> None:
    """Compare the columns of times: two units in one file show."""
    if not measured.count("ar_step_s"):
        return
    plain_s = float(np.nanmedian(measured.values["ar_step_s"]))
    for name, (low, high) in _AGAINST_PLAIN.items():
        if not measured.count(name):
            continue
        middle = float(np.nanmedian(measured.values[name]))
        if not low <= middle / plain_s <= high:
            raise DataError(
                f"{measured.origin}: the median {name} is {middle:.3g} s and the median ar_step_s "
                f"{plain_s:.3g} s. One of the columns is in another unit than its name says."
            )


def _check_speedups(measured: Measurements) -> None:
    speedup, gamma = measured.values["speedup"], measured.points.gamma
    low, high = SPEEDUPS
    for row in _first((speedup < low) | (speedup > high)):
        raise _refuse(
            measured,
            row,
            f"speedup={speedup[row]:g} lies outside {low:g} to {high:g}. A speedup is the time "
            "per token without speculation over that with it: 1.8, no percentage and no time.",
        )
    for row in _first(speedup > gamma + 1):
        raise _refuse(
            measured,
            row,
            f"speedup={speedup[row]:g} exceeds the gamma + 1 = {gamma[row] + 1:g} tokens that a "
            "round can yield; gamma or the speedup is wrong.",
        )


def _check_loads(measured: Measurements, bounds: Bounds) -> None:
    """Compare plain steps with the time that peak bandwidth needs for their weights."""
    if not bounds.low[0] > 0:
        return
    points, times = measured.points, measured.values["ar_step_s"]
    active = activated_experts(points.batch, points.experts, points.top_k)
    fastest = bounds.low[0] + bounds.low[2] * active
    for row in _first(times < fastest / _FASTER):
        raise _refuse(
            measured,
            row,
            f"ar_step_s={times[row]:.3g} s, but {bounds.source} take {fastest[row]:.3g} s at peak "
            "bandwidth. Check the column's unit, model=, hardware= and gpus=.",
        )
    for row in _first(times > fastest * _SLOWER):
        raise _refuse(
            measured,
            row,
            f"ar_step_s={times[row]:.3g} s is {times[row] / fastest[row]:.0f} times what "
            f"{bounds.source} take at peak bandwidth. Name the column ar_step_ms if it holds "
            "milliseconds; else check model=, hardware= and gpus=.",
        )


def _check_agreement(measured: Measurements) -> None:
    """Compare a speedup with the times of its own row, where all were measured."""
    values, points = measured.values, measured.points
    round_s = points.gamma * values["draft_step_s"] + values["verify_step_s"] + values["reject_s"]
    made = points.sigma * (points.gamma + 1) * values["ar_step_s"] / round_s
    off = np.maximum(made / values["speedup"], values["speedup"] / made)
    for row in _first(off > _CONTRADICTION):
        raise _refuse(
            measured,
            row,
            f"speedup={values['speedup'][row]:.3g}, but the row's own times make {made[row]:.3g} "
            "(eq. 4). Check their units, sigma, and that all are of one run.",
        )


def _check_variety(measured: Measurements) -> Iterator[str]:
    points = measured.points
    columns = {"batch": points.batch, "gamma": points.gamma, "top_k": points.top_k}
    if all(np.ptp(column) == 0 for column in columns.values()):
        raise DataError(
            f"{measured.origin}: all rows are of one operating point (batch {points.batch[0]:g}, "
            f"gamma {points.gamma[0]:g}), which says nothing about how times grow. Measure "
            "batches from 1 to beyond the speedup's peak (1, 2, 4, 8, 16, 32, 64, 100) at two "
            "draft lengths."
        )
    if np.ptp(points.batch) == 0:
        yield (
            f"all rows have batch {points.batch[0]:g}: growth with the batch is a guess; measure "
            "batches from 1 to 100."
        )
    elif points.batch.min() > 8 or points.batch.max() < 40:
        yield (
            f"batches span {points.batch.min():g} to {points.batch.max():g}; without some below 8 "
            "and some above 40 MoESD's own fits went wrong (App. C.3)."
        )
    drafted = np.isfinite(measured.values["speedup"]) | np.isfinite(
        measured.values["verify_step_s"]
    )
    if drafted.any() and np.ptp(points.gamma[drafted]) == 0:
        yield f"all speedups are at gamma {points.gamma[drafted][0]:g}; measure a second gamma."


def _check_count(measured: Measurements) -> Iterator[str]:
    count, unknowns = measured.count(), len(NAMES)
    if count < unknowns:
        raise DataError(
            f"{measured.origin}: {count} measured values for {unknowns} unknowns. Measure at least "
            f"{round(_FEW * unknowns)}: speedups at batches 1, 2, 4, 8, 16, 32, 64 and 100 for two "
            "draft lengths, and one ar_step_s; `moesim calibrate check plan=...` judges a plan "
            "beforehand."
        )
    if count < _FEW * unknowns:
        yield (
            f"{count} measured values for {unknowns} unknowns leave little to judge the fit by; "
            f"measure {round(_FEW * unknowns)} or more."
        )
