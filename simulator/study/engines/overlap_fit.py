"""Exponents of the overlap law, from the active experts that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.experts.laws import Overlap, distinct_experts
from simulator.study.engines.step_rows import StepRow
from simulator.study.engines.times import Bench, routed_experts
from simulator.study.intervals import half_widths

KEYS = ("routing_within_request", "routing_across_requests")
LOW, HIGH = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class OverlapFit:
    """Exponents g and h of the overlap law.

    Parameters
    ----------
    values
        By key of the engine profile; without those that the rows do not determine.
    half_widths
        Half of their 95 % intervals; None where too few rows are left over to tell.
    rows
        Rows that were fitted.
    """

    values: dict[str, float]
    half_widths: dict[str, float | None]
    rows: int


def fit_overlap(rows: Sequence[StepRow], bench: Bench) -> OverlapFit | None:
    """Fit the exponents to measured active experts: relative errors, weighted by row spread.

    A row tells something of g if several tokens of a request are verified, of h if several requests
    meet, and of neither when nearly all experts are touched anyway.

    Returns
    -------
    OverlapFit or None
        None where no row has active experts that are not all of them.
    """
    known = [row for row in rows if row.active_experts and routed_experts(bench.model_of(row))]
    if not known:
        return None

    def errors(exponents: NDArray[np.float64]) -> NDArray[np.float64]:
        law = Overlap(*exponents)
        return np.array([_error(row, bench, law) for row in known])

    start = np.array([0.8, 0.9])
    slopes = np.array([(errors(start + step) - errors(start)) / 1e-3 for step in 1e-3 * np.eye(2)])
    free = [i for i in range(2) if np.linalg.norm(slopes[i]) > 1.0]
    if not free:
        return None

    def expand(values: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.ones(2)
        whole[free] = values
        return whole

    found = least_squares(lambda x: errors(expand(x)), start[free], bounds=(LOW, HIGH))
    widths = half_widths(found.jac, found.fun)
    keys = [KEYS[i] for i in free]
    return OverlapFit(
        {k: HIGH if v > HIGH - 1e-6 else v for k, v in zip(keys, found.x.tolist(), strict=True)},
        dict(zip(keys, widths, strict=True)),
        len(known),
    )


def _error(row: StepRow, bench: Bench, law: Overlap) -> float:
    """Return predicted over measured active experts, less 1, in standard errors of the row."""
    routed = routed_experts(bench.model_of(row))
    if routed is None or row.active_experts is None:
        return 0.0
    tokens = law.independent_tokens(row.batch, row.gamma + 1, 0)
    active = distinct_experts(routed.experts, routed.top_k, tokens)
    return (active / row.active_experts - 1) / row.noise
