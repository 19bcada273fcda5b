"""Engine profiles calibrated on the few of MoESD's figures that its reproduction may look at.

Qwen2-57B-A14B: plain step times of table 1 at three batches, and the time beyond the target's at
two batches of one curve. OPT-30B: two speedups of one curve. All else is left to predict.

Table 1 prints no unit. Its step times are read in turn as milliseconds under uniform routing, as
milliseconds with overlapping requests at up to the peak bandwidth, and as times in an unknown unit.
The first reading that leaves no overhead below zero is kept; a negative one means that the routing
law or the bandwidth is wrong, not that a host works backwards in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from simulator.costs.engine import Engine
from simulator.costs.step import StepShape
from simulator.errors import InvariantError, TableError
from simulator.speculation.theory import alpha_from_sigma
from simulator.study.moesd.experiment import (
    DENSE,
    MOE,
    REFERENCE_GAMMA,
    efficiency_curve,
    published_sigma,
    reference_curve,
    setting,
    speedup_curves,
)
from simulator.study.moesd.published import peaks
from simulator.study.moesd.runs import CONTEXT_TOKENS, Cell, scenario
from simulator.study.moesd.terms import Terms, terms
from simulator.units import BYTES_PER_WEIGHT

STEP_BATCHES = (8, 12, 20)
"""Batches whose plain step times are known."""

MOE_PAIR = (8, 60)
"""Batches at which the time beyond the target's may be looked at."""

DENSE_PAIR = (1, 60)
"""Batches at which the speedup of OPT-30B may be looked at."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A profile and what was calibrated in it.

    Parameters
    ----------
    title
        How the measurements were read.
    engine
        The profile with the calibrated numbers in it.
    numbers
        The calibrated numbers, SI units; ``unit`` is how many milliseconds a unit of table 1 is.
    alpha
        Acceptance rate, if it was calibrated.
    """

    title: str
    engine: Engine
    numbers: dict[str, float]
    alpha: float | None = None

    @property
    def negative(self) -> list[str]:
        """Names of overheads below zero: a failure of what they were fitted on top of."""
        return [name for name, value in self.numbers.items() if value < 0]


def published_step_times() -> dict[int, float]:
    """Return plain step times of Qwen2-57B-A14B by batch, table 1's unit taken as the millisecond.

    Table 1 gives the time at the batch of the largest speedup, which is read off fig. 6. Times of
    the same batch are averaged.
    """
    best = {setting(c): c.batch[int(np.argmax(c.value))] for c in speedup_curves(MOE)}
    found: dict[int, set[float]] = {}
    for row in peaks():
        if row.dataset == "humaneval":
            found.setdefault(best[setting(row)], set()).add(row.plain_s)
    return {batch: float(np.mean(sorted(found[batch]))) for batch in STEP_BATCHES}


def published_overhead() -> dict[int, float]:
    """Return ``(gamma T_D + T_rej) / T_T(B, 1)`` of the reference curve by batch.

    Eq. 4 solved for it: ``sigma (gamma + 1) / speedup - 1 / target efficiency``.
    """
    curve, efficiency = reference_curve(MOE), efficiency_curve(MOE)
    tokens = published_sigma(curve) * (curve.gamma + 1)
    pairs = zip(curve.batch, curve.value, efficiency.value, strict=True)
    return {batch: tokens / x - 1.0 / share for batch, x, share in pairs}


def calibrate_moe(engine: Engine) -> list[Calibration]:
    """Read the step times of Qwen2-57B-A14B in turn; the last reading is the one to keep.

    Parameters
    ----------
    engine
        The profile to start from.

    Returns
    -------
    list of Calibration
        Readings that left an overhead below zero, then the first that did not.

    Raises
    ------
    TableError
        If every reading leaves an overhead below zero.
    """
    tried: list[Calibration] = []
    for reading in READINGS:
        tried.append(with_draft_overhead(reading(engine), MOE_PAIR))
        if not tried[-1].negative:
            return tried
    raise TableError(
        f"every reading of MoESD's step times leaves an overhead of {engine.name} below zero, the "
        f"last {', '.join(tried[-1].negative)}. Kernel tables of the A100 or the routing law are "
        "slower than the measurement: moesim validate kernels gpu=a100_sxm."
    )


def with_draft_overhead(read: Calibration, pair: tuple[int, int]) -> Calibration:
    """Add the host time of draft steps, from the published overhead at two batches.

    It is charged per draft step and request: the drafter runs step after step, and every drafted
    token becomes a sequence to verify.
    """
    step_s, request_s = draft_host(terms(MOE, REFERENCE_GAMMA, pair, read.engine), pair)
    engine = replace(
        read.engine,
        draft_step_s=read.engine.draft_step_s + step_s,
        draft_request_s=read.engine.draft_request_s + request_s,
    )
    found = {"draft_step_s": engine.draft_step_s, "draft_request_s": engine.draft_request_s}
    return replace(read, engine=engine, numbers=read.numbers | found)


def draft_host(known: Terms, pair: tuple[int, int]) -> tuple[float, float]:
    """Solve two batches for the host time that draft steps have beyond the terms.

    Returns
    -------
    tuple
        Seconds per draft step, and per request in it.
    """
    published, at = published_overhead(), known.at(pair)
    missing_s = np.array([published[batch] for batch in pair]) * at.plain_s - at.added_s
    step_s, request_s = np.linalg.solve(
        known.gamma * np.column_stack([np.ones(2), at.batch]), missing_s
    )
    return float(step_s), float(request_s)


def calibrate_dense(engine: Engine) -> Calibration:
    """Calibrate acceptance and the host time of a draft step per request for OPT-30B.

    Two speedups fix both: ``tokens T_T(B, 1) = speedup (round + gamma B request_s)`` is linear in
    the tokens of a round and in the host time.
    """
    curve = reference_curve(DENSE)
    published = dict(zip(curve.batch, curve.value, strict=True))
    at = terms(DENSE, curve.gamma, DENSE_PAIR, engine)
    speedups = np.array([published[batch] for batch in DENSE_PAIR])
    columns = np.column_stack([at.plain_s, -speedups * curve.gamma * at.batch])
    tokens, more_s = np.linalg.solve(columns, speedups * (at.verify_s + at.added_s))
    alpha = float(alpha_from_sigma(tokens / (curve.gamma + 1), curve.gamma))
    request_s = engine.draft_request_s + float(more_s)
    return Calibration(
        "two speedups",
        replace(engine, draft_request_s=request_s),
        {"alpha": alpha, "draft_request_s": request_s},
        alpha,
    )


def in_milliseconds(engine: Engine) -> Calibration:
    """Read milliseconds, routing as the profile has it: host time per step and per request."""
    batch, times = _step_times()
    base = _plain(replace(engine, plain_step_s=0.0, plain_request_s=0.0))
    columns = np.column_stack([np.ones(len(batch)), batch]) / times[:, None]
    (step_s, request_s), *_ = np.linalg.lstsq(columns, 1.0 - base / times)
    numbers = {"plain_step_s": float(step_s), "plain_request_s": float(request_s)}
    profile = with_plain_host(engine, step_s=float(step_s), request_s=float(request_s))
    return Calibration("ms, uniform routing", profile, numbers)


def overlapping(engine: Engine) -> Calibration:
    """Read milliseconds, with what could make steps short: overlapping requests and bandwidth.

    Fits the exponent of overlap across requests, the bandwidth up to the GPU's peak, and the host
    time per request.
    """
    _, times = _step_times()
    peak = bandwidth_to_peak(engine)

    def profile(values: np.ndarray) -> Engine:
        across, fraction, request_s = values.tolist()
        return replace(
            with_plain_host(engine, engine.plain_step_s, request_s),
            bandwidth_fraction=fraction,
            routing_across_requests=across,
        )

    found = least_squares(
        lambda values: _plain(profile(values)) / times - 1.0,
        (0.6, 0.9 * peak, 0.0),
        bounds=((0.05, 0.3, -1e-2), (1.0, peak, 1e-2)),
        x_scale=(0.1, 0.1, 1e-4),
    )
    names = ("routing_across_requests", "bandwidth_fraction", "plain_request_s")
    numbers = dict(zip(names, found.x.tolist(), strict=True))
    return Calibration("ms, overlap, bandwidth up to peak", profile(found.x), numbers)


def bandwidth_to_peak(engine: Engine) -> float:
    """Return the bandwidth fraction at which the experts' weights would move at the GPU's peak.

    Of a plain step of eight requests, in which experts are read and hardly anything computed.
    """
    built = scenario(Cell(MOE, STEP_BATCHES[0]), engine)
    moe, width = built.config.model.moe, built.config.model.hidden
    if moe is None:
        raise InvariantError(f"{MOE} has no experts.")
    step = built.step_model.target_step(StepShape(STEP_BATCHES[0], 1, CONTEXT_TOKENS))
    expert_bytes = 3 * width * moe.inter * BYTES_PER_WEIGHT[built.config.model.expert_dtype]
    moved_bytes = built.config.model.layers * step.active_experts * expert_bytes
    shortest_s = moved_bytes / built.parallelism.gpus / built.gpu.memory_bandwidth
    return step.parts["experts"].seconds / shortest_s


def in_unknown_unit(engine: Engine) -> Calibration:
    """Read ratios only: the unit of table 1 and the host time per request are fitted.

    ``unit times = T_T(B, 1) + B request_s`` by least squares of relative errors; the time scale
    comes from the kernel tables.
    """
    batch, times = _step_times()
    base = _plain(replace(engine, plain_request_s=0.0))
    columns = np.column_stack([times, -batch]) / base[:, None]
    (unit, request_s), *_ = np.linalg.lstsq(columns, np.ones(len(batch)))
    numbers = {"unit_ms": float(unit), "plain_request_s": float(request_s)}
    profile = with_plain_host(engine, engine.plain_step_s, float(request_s))
    return Calibration("unknown unit, uniform routing", profile, numbers)


def with_plain_host(engine: Engine, step_s: float, request_s: float) -> Engine:
    """Set the host time of a plain step; a round keeps what it has above a plain step."""
    return replace(
        engine,
        plain_step_s=step_s,
        plain_request_s=request_s,
        verify_step_s=engine.verify_step_s + step_s - engine.plain_step_s,
        verify_request_s=engine.verify_request_s + request_s - engine.plain_request_s,
    )


READINGS: tuple[Callable[[Engine], Calibration], ...] = (
    in_milliseconds,
    overlapping,
    in_unknown_unit,
)
"""Ways to read the step times of table 1, in the order in which they are tried."""


def _step_times() -> tuple[np.ndarray, np.ndarray]:
    """Return batches and step times as arrays."""
    found = published_step_times()
    return np.array(list(found), dtype=float), np.array(list(found.values()))


def _plain(engine: Engine) -> np.ndarray:
    """Return plain steps at the batches whose times are known, seconds."""
    return terms(MOE, REFERENCE_GAMMA, STEP_BATCHES, engine).plain_s
