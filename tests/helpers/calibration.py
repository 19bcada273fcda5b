"""Synthetic measurements from known parameters."""

import csv

import numpy as np

from simulator.speculation.performance import Parameters, Points, predict
from simulator.study.calibration.measurements import QUANTITIES, TIMES, Measurements

TRUTH = Parameters(6e-3, 3e-3, 0.3e-3, 4e-3, 0.8e-3, 1.5e-3, 1.2e-3, 1e-4, 0.35, 1.03)
RIDGE = 153.0
BATCHES = (1, 2, 4, 8, 16, 32, 64, 100, 160)


def grid(batches=BATCHES, gammas=(2, 4), top_ks=(2, 8, 32)):
    """A plan that determines everything but the scale of seconds, by speedups alone."""
    table = np.array([(b, g, k) for k in top_ks for g in gammas for b in batches], float).T
    return Points.of(*table, 64, 0.9, RIDGE)


def synthetic(points, names=("speedup",), *, noise=0.0, seed=0, truth=TRUTH):
    """Measure some quantities: speedups with absolute, times with relative normal noise."""
    rng, exact = np.random.default_rng(seed), predict(truth, points)
    values = {}
    for name in QUANTITIES:
        error = noise * rng.standard_normal(points.batch.size)
        value = getattr(exact, name)
        measured = value * (1 + error) if name in TIMES else value + error
        values[name] = measured if name in names else np.full(points.batch.size, np.nan)
    lines = tuple(range(2, points.batch.size + 2))
    return Measurements(points=points, values=values, lines=lines, origin="synthetic")


def write_csv(path, measured, names=("speedup",)):
    """Write measurements as `moesim calibrate fit` reads them."""
    points = measured.points
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["batch", "gamma", "top_k", "experts", "sigma", *names])
        for row in range(points.batch.size):
            cells = (points.batch, points.gamma, points.top_k, points.experts)
            values = [measured.values[name][row] for name in names]
            writer.writerow(
                [int(column[row]) for column in cells]
                + [points.sigma[row]]
                + ["" if np.isnan(value) else repr(float(value)) for value in values]
            )
    return path
