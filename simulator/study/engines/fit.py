"""An engine profile fitted to measured step times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.costs.engine import Engine
from simulator.study.engines.observations import LINEAR, Coefficients, Observed
from simulator.study.engines.overlap_fit import OverlapFit, fit_overlap
from simulator.study.engines.search import WITHIN, Estimate, Search
from simulator.study.engines.step_rows import StepRow
from simulator.study.engines.times import Bench, routed_experts
from simulator.study.engines.unknowns import (
    BY_KEY,
    EAGER_ONLY,
    EXPONENT,
    OVERHEAD,
    UNKNOWNS,
    Unknown,
)


@dataclass(frozen=True, slots=True)
class Refused:
    """An overhead that came out negative: it is held at zero, and what that says."""

    unknown: Unknown
    value: float
    half_width: float | None

    @property
    def significant(self) -> bool:
        """Whether it is below zero beyond its interval."""
        return self.half_width is None or self.value + self.half_width < 0


@dataclass(frozen=True, slots=True)
class EngineFit:
    """What a fit found.

    Parameters
    ----------
    engine
        The base profile with what was fitted in place.
    estimates
        Fitted figures.
    refused
        Overheads that came out negative.
    undetermined
        Unknowns that the rows do not determine; they stay as in the base profile.
    overlap
        Exponents fitted to active experts, if any were measured.
    rows
        Rows that were fitted.
    """

    engine: Engine
    estimates: tuple[Estimate, ...]
    refused: tuple[Refused, ...]
    undetermined: tuple[Unknown, ...]
    overlap: OverlapFit | None
    rows: int


def fit_engine(
    rows: Sequence[StepRow],
    bench: Bench,
    base: Engine,
    *,
    eager: bool,
    coefficients: Coefficients | None = None,
) -> EngineFit:
    """Fit an engine profile: relative errors of times, weighted by the spread of the rows.

    Parameters
    ----------
    rows
        Rows to fit.
    bench
        What they ran on.
    base
        Profile that holds where the rows say nothing.
    eager
        Whether the engine launches kernels one by one, so that each costs host time.
    coefficients
        Of bench and base, if they were derived before.

    Notes
    -----
    Exponents of the overlap law are fitted to measured active experts first, and these are the
    input of the cost model. Without any, the exponent within a request is fitted to the times too,
    if they determine it.
    """
    observed = Observed(rows, coefficients or Coefficients(bench, base))
    overlap = fit_overlap(rows, bench)
    by_time = _exponent_shows(rows, bench, overlap)
    search = Search(observed, [u for u in _meant(rows, bench, eager) if u in LINEAR], by_time)
    chosen, refused = search.choose(search.start()), []
    while True:
        solution = search.solve(chosen)
        negative = [e for e in solution if e.unknown.kind == OVERHEAD and e.value < 0]
        if not negative:
            break
        worst = min(negative, key=lambda e: e.value / (e.half_width or 1e-9))
        refused.append(Refused(worst.unknown, worst.value, worst.half_width))
        chosen = [unknown for unknown in chosen if unknown is not worst.unknown]
        search.hold_at_zero(worst.unknown)
    estimates = [*solution, *_exponents(overlap)]
    settled = {e.unknown.key for e in estimates} | {r.unknown.key for r in refused}
    return EngineFit(
        engine=_engine(base, estimates, refused),
        estimates=tuple(estimates),
        refused=tuple(refused),
        undetermined=tuple(u for u in _meant(rows, bench, eager) if u.key not in settled),
        overlap=overlap,
        rows=len(rows),
    )


def _meant(rows: Sequence[StepRow], bench: Bench, eager: bool) -> list[Unknown]:
    """Return the unknowns that mean something for what was measured."""
    routed = any(routed_experts(bench.model_of(row)) for row in rows)
    return [
        unknown
        for unknown in UNKNOWNS
        if (eager or unknown.key not in EAGER_ONLY) and (routed or unknown.kind != EXPONENT)
    ]


def _exponent_shows(rows: Sequence[StepRow], bench: Bench, overlap: OverlapFit | None) -> bool:
    """Tell whether times may depend on an exponent within requests that nothing else tells."""
    if overlap is not None:
        return False
    return any(row.gamma and routed_experts(bench.model_of(row)) for row in rows)


def _exponents(overlap: OverlapFit | None) -> list[Estimate]:
    if overlap is None:
        return []
    return [
        Estimate(BY_KEY[key], value, overlap.half_widths[key], value >= BY_KEY[key].high)
        for key, value in overlap.values.items()
    ]


def _engine(base: Engine, estimates: Sequence[Estimate], refused: Sequence[Refused]) -> Engine:
    """Return the base profile with the fitted figures.

    Verify follows plain where it was not fitted. Exponents fitted to verified tokens say nothing of
    prompts, whose tokens are taken as independent.
    """
    figures: dict[str, Any] = {r.unknown.attribute: 0.0 for r in refused}
    figures |= {e.unknown.attribute: e.value for e in estimates}
    for of in ("step", "request"):
        plain, verify = f"plain_{of}_s", f"verify_{of}_s"
        if plain in figures and verify not in figures:
            more = getattr(base, verify) - getattr(base, plain)
            figures[verify] = figures[plain] + more
    if WITHIN in figures and base.routing_prompt is None:
        figures["routing_prompt"] = 1.0
    return replace(base, **figures)
