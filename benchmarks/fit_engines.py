"""Fit the overheads of engine profiles to the fitting half of the published deployments.

Gauss-Newton on the logarithms of predicted over measured TPOT and TTFT, with a loss that outliers
hardly move. Derivatives by simulating again with one overhead changed. Prints what belongs into
``hardware_specs/engines``. Nothing of the held-out half is read. Minutes per engine.

    python benchmarks/fit_engines.py vllm --rows 150
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat

import numpy as np
from scipy.optimize import least_squares

from simulator.costs.engine import Engine, load_engine
from simulator.study.silicon.rows import SiliconRow, read_sample
from simulator.study.silicon.runs import PROFILES, Job, Prediction, jobs, predict_job
from simulator.study.silicon.validate import APART, plan

STEPS = {
    "plain_step_s": 2e-4,
    "plain_request_s": 5e-6,
    "kernel_launch_s": 5e-7,
    "prefill_layer_s": 2e-4,
    "front_end_request_s": 2e-3,
    "front_end_s": 5e-3,
}
"""Overheads that are fitted, and by how much each is changed to see what it does."""

LIMITS = {
    "plain_step_s": (0.0, 3e-3),
    "plain_request_s": (0.0, 5e-5),
    "kernel_launch_s": (0.0, 4e-6),
    "prefill_layer_s": (0.0, 5e-3),
    "front_end_request_s": (0.0, 0.05),
    "front_end_s": (0.0, 0.2),
}
"""Bounds beyond which a fitted overhead would be none."""


def fitting_rows(engine: str, limit: int) -> list[SiliconRow]:
    """Return distinct rows of the fitting half, evenly thinned, DeepSeek-R1 left out."""
    found = {row.inputs: row for row in plan(read_sample()).rows}
    rows = [
        row
        for row in found.values()
        if row.engine == engine and not row.held_out and row.path != APART
    ]
    return [rows[index * len(rows) // limit] for index in range(min(limit, len(rows)))]


def simulate(rows: list[SiliconRow], engine: Engine) -> np.ndarray:
    """Return log(predicted / measured) of TPOT and TTFT, shape (2, rows)."""
    todo: list[Job] = jobs(rows)
    found: dict[object, Prediction] = {}
    with ProcessPoolExecutor() as pool:
        for job, made in zip(todo, pool.map(predict_job, todo, repeat(engine)), strict=True):
            found |= {row.inputs: one for row, one in zip(job, made, strict=True)}
    return np.array(list(_logs(rows, found))).T


def _logs(rows: list[SiliconRow], found: dict[object, Prediction]) -> Iterator[tuple[float, float]]:
    for row in rows:
        one = found[row.inputs]
        if one.tpot_s is None or one.ttft_s is None:
            yield np.nan, np.nan
        else:
            yield np.log(one.tpot_s / row.tpot_s), np.log(one.ttft_s / row.ttft_s)


def fit(rows: list[SiliconRow], engine: Engine) -> Engine:
    """Return the profile after one Gauss-Newton step, on rows that can be simulated."""
    start = simulate(rows, engine)
    keep = np.isfinite(start).all(axis=0)
    print(f"{engine.name}: {keep.sum()} rows, before: {_about(start[:, keep])}", flush=True)
    slopes = []
    for name, step in STEPS.items():
        moved = simulate(rows, replace(engine, **{name: getattr(engine, name) + step}))
        slopes.append((moved - start)[:, keep] / step)
    jacobian, residual = np.array(slopes), start[:, keep]
    before = np.array([getattr(engine, name) for name in STEPS])
    low, high = np.array(list(LIMITS.values())).T
    weights = np.array([[1.0], [0.5]])  # TPOT counts double

    def miss(values: np.ndarray) -> np.ndarray:
        change = (values - before)[:, None, None]
        return (weights * (residual + (change * jacobian).sum(axis=0))).ravel()

    start_at = np.clip(before, low + 1e-3 * (high - low), high - 1e-3 * (high - low))
    found = least_squares(
        miss, start_at, bounds=(low, high), x_scale=high - low, loss="soft_l1", f_scale=0.1
    )
    return replace(engine, **dict(zip(STEPS, found.x.tolist(), strict=True)))


def _about(logs: np.ndarray) -> str:
    medians = np.median(np.abs(np.expm1(logs)), axis=1)
    return f"TPOT {100 * medians[0]:.1f} %, TTFT {100 * medians[1]:.1f} % (median error)"


def main() -> None:
    """Fit the named engines and print their overheads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engines", nargs="+")
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    for name in options.engines:
        engine, rows = load_engine(PROFILES.get(name, name)), fitting_rows(name, options.rows)
        for _ in range(options.rounds):
            engine = fit(rows, engine)
            print({key: float(f"{getattr(engine, key):.3g}") for key in STEPS}, flush=True)
        final = simulate(rows, engine)
        print(f"{name}: after: {_about(final[:, np.isfinite(final).all(axis=0)])}", flush=True)
        print("Schedules jump as overheads move: take the round whose errors are smallest.")


if __name__ == "__main__":
    main()
