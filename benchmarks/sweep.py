"""How many points of a sweep end per second with two worker processes, and with one."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from simulator.study.executors import Executor, open_executor
from simulator.study.sweep.composing import compose_points
from simulator.study.sweep.folder import Sweep, plan_sweep
from simulator.study.sweep.grid import read_grid
from simulator.study.sweep.run import at_work, run_missing

POINTS, TURNS = 8, 3

REQUESTS = 1000
"""Of a point: a second of CPU or more, both arms."""


def measure(points: int = POINTS, turns: int = TURNS, requests: int = REQUESTS) -> dict[str, float]:
    """Run the same points with one worker and with two in turns, workers started before."""
    sweep = _sweep(points, requests)
    before_s = _children_cpu_s()
    with open_executor("processes") as one, open_executor("processes") as two:
        start_s, _ = _timed(_sweep(2, requests), two, 2)
        _timed(_sweep(1, requests), one, 1)  # reads the tables, as the workers have by now
        runs = [(_timed(sweep, one, 1), _timed(sweep, two, 2)) for _ in range(turns)]
    point_2_cpu_s = (_children_cpu_s() - before_s) / (turns * points + 2)
    (one_s, one_cpu_s), (two_s, main_cpu_s) = (
        [median(run[case][part] for run in runs) for part in (0, 1)] for case in (0, 1)
    )
    return {
        "speedup": median(alone[0] / both[0] for alone, both in runs),
        "points_per_s_1": points / one_s,
        "points_per_s_2": points / two_s,
        "point_cpu_s_1": one_cpu_s / points,
        "point_cpu_s_2": point_2_cpu_s,
        "main_cpu_s_per_point": main_cpu_s / points,
        "cores_1": one_cpu_s / one_s,
        "cores_2": (points * point_2_cpu_s + main_cpu_s) / two_s,
        "start_s": start_s,
    }


def _sweep(points: int, requests: int) -> Sweep:
    words = ["scenario=chat", f"run.requests={requests}", "run.replications=1"]
    grid = read_grid([f"run.seed=range({points})", *words])
    return plan_sweep(grid, list(compose_points(grid)))


def _timed(sweep: Sweep, executor: Executor, workers: int) -> tuple[float, float]:
    """Return the time of a whole sweep, and the CPU time of this process; s."""
    with TemporaryDirectory() as folder:
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        with at_work(sweep, Path(folder)) as started:
            run_missing(started, executor, workers, lambda _: None)
        return time.perf_counter() - started_s, time.process_time() - started_cpu_s


def _children_cpu_s() -> float:
    """CPU time of the worker processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
