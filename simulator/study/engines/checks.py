"""Refusals of step times that cannot be what they say, before anything is fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simulator.costs.engine import Engine
from simulator.errors import DataError
from simulator.study.engines.step_rows import LEAST_ROWS, WHAT_TO_MEASURE, StepRow
from simulator.study.engines.times import Bench, routed_experts

FAR = 100.0
"""How far a time may be from the cost model, or from the other rows, before its unit is doubted.

Engines on nominal hardware run within a factor of ten of it; a wrong unit is off by 1000.
"""


def check_rows(path: Path, rows: Sequence[StepRow], bench: Bench, base: Engine) -> None:
    """Refuse rows of unknown models, impossible experts, or wrong units.

    Parameters
    ----------
    path
        Where they stand, for messages.
    rows
        All rows of the file.
    bench, base
        What they ran on, and an engine profile to price them with.

    Raises
    ------
    DataError
        Names the file and the line, and what to do.
    """
    ratios = []
    for row in rows:
        try:
            bench.model_of(row)
        except DataError as error:
            raise DataError(f"{path}, {error}") from error
        _check_experts(path, row, bench)
        _check_drafter(path, row, bench)
        ratios.append(row.step_s / bench.times(row, base).step_s)
    usual = float(np.median(ratios))
    if not 1 / FAR < usual < FAR:
        raise DataError(
            f"{path}: steps take {usual:.3g} times as long as the hardware allows for; is the "
            f"column in the unit that its name states (step_s, step_ms, step_us), and the model "
            f"and the hardware the ones that were measured?"
        )
    for row, ratio in zip(rows, ratios, strict=True):
        if not 1 / FAR < ratio / usual < FAR:
            raise DataError(
                f"{path}, line {row.line}: {row.step_s:g} s ({row.what}) is {ratio / usual:.3g} "
                f"times what the other rows lead to expect; is it in another unit?"
            )


def check_enough(path: Path, rows: Sequence[StepRow]) -> None:
    """Refuse too few rows to fit, or rows that are all of one step.

    Raises
    ------
    DataError
        Says what to measure.
    """
    steps = {(row.model, row.gamma, row.batch) for row in rows}
    if len(rows) < LEAST_ROWS or len(steps) < LEAST_ROWS:
        what = "different steps" if len(rows) >= LEAST_ROWS else "rows"
        raise DataError(
            f"{path}: {len(steps) if len(rows) >= LEAST_ROWS else len(rows)} {what} to fit; at "
            f"least {LEAST_ROWS} are needed. {WHAT_TO_MEASURE}"
        )


def _check_experts(path: Path, row: StepRow, bench: Bench) -> None:
    active = row.active_experts
    if active is None:
        return
    routed = routed_experts(bench.model_of(row))
    if routed is None:
        raise DataError(
            f"{path}, line {row.line}: active_experts is {active:g}, but the model is dense."
        )
    most = min(routed.experts, row.batch * (row.gamma + 1) * routed.top_k)
    if not 0.9 * routed.top_k <= active <= 1.01 * most:  # means over steps, rounded
        raise DataError(
            f"{path}, line {row.line}: active_experts is {active:g}; {row.what} touches "
            f"{routed.top_k} to {most} of {routed.experts}. Is gamma or the model wrong?"
        )


def _check_drafter(path: Path, row: StepRow, bench: Bench) -> None:
    if row.draft_s and bench.model_of(row).drafter is None:
        raise DataError(
            f"{path}, line {row.line}: drafting took {row.draft_s:g} s, but no draft model is "
            f"known; name the drafter."
        )
