"""How many points of a sweep end per second with two worker processes, and with one."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from simulator.study.executors import Executor, open_executor
from simulator.study.sweep.composing import compose_points
from simulator.study.sweep.folder import Sweep, plan_sweep
from simulator.study.sweep.grid import read_grid
from simulator.study.sweep.run import at_work, run_missing

POINTS, TURNS = 8, 2

REQUESTS = 1000
"""Of a point: a second of CPU or more, both arms."""


class Taken(NamedTuple):
    """What a sweep took: time, CPU time of the main process, CPU time of its workers; s."""

    wall_s: float
    main_cpu_s: float
    workers_cpu_s: float


def measure(points: int = POINTS, turns: int = TURNS, requests: int = REQUESTS) -> dict[str, float]:
    """Run the same points with one worker and with two in turns, workers started before."""
    sweep = _sweep(points, requests)
    with open_executor("processes") as one, open_executor("processes") as two:
        start_s = _taken(_sweep(2, requests), two, 2).wall_s
        _taken(_sweep(1, requests), one, 1)  # reads the tables, as the workers have by now
        runs = [(_taken(sweep, one, 1), _taken(sweep, two, 2)) for _ in range(turns)]
    alone, both = (Taken(*map(median, zip(*case, strict=True))) for case in zip(*runs, strict=True))
    return {
        "speedup": median(alone.wall_s / both.wall_s for alone, both in runs),
        "points_per_s_1": points / alone.wall_s,
        "points_per_s_2": points / both.wall_s,
        "point_cpu_s_1": alone.main_cpu_s / points,
        "point_cpu_s_2": both.workers_cpu_s / points,
        "main_cpu_s_per_point_2": both.main_cpu_s / points,
        "cores_1": alone.main_cpu_s / alone.wall_s,
        "cores_2": (both.workers_cpu_s + both.main_cpu_s) / both.wall_s,
        "start_s": start_s,
    }


def _sweep(points: int, requests: int) -> Sweep:
    words = ["scenario=chat", f"run.requests={requests}", "run.replications=1"]
    grid = read_grid([f"run.seed=range({points})", *words])
    return plan_sweep(grid, list(compose_points(grid)))


def _taken(sweep: Sweep, executor: Executor, workers: int) -> Taken:
    """Run a whole sweep into a folder that does not stay."""
    with TemporaryDirectory() as folder:
        before = Taken(time.perf_counter(), time.process_time(), _workers_cpu_s())
        with at_work(sweep, Path(folder)) as started:
            run_missing(started, executor, workers, lambda _: None)
        after = Taken(time.perf_counter(), time.process_time(), _workers_cpu_s())
        return Taken(*(end - begin for begin, end in zip(before, after, strict=True)))


def _workers_cpu_s() -> float:
    """CPU time of the worker processes so far, from /proc: Linux alone tells."""
    ticks = 0
    for worker in multiprocessing.active_children():
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
