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

POINTS = 12
POINT = ["scenario=chat", "speculation.gamma=3", "run.requests=1200", "run.replications=1"]
"""A point of one to two seconds, both arms."""

TURNS = 3


def measure() -> dict[str, float]:
    """Run the same points with one worker and with two in turns, workers started before."""
    points = _sweep(POINTS)
    with open_executor("processes") as one, open_executor("processes") as two:
        start_s, _ = _timed(_sweep(2), two, 2)
        _timed(_sweep(1), one, 1)  # reads the tables, as the workers have by now
        turns = [(_timed(points, one, 1), _timed(points, two, 2)) for _ in range(TURNS)]
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers_cpu_s = _cpu_s(workers) - _cpu_s(ended)
    alone_s, alone_cpu_s = (median(turn[0][part] for turn in turns) for part in (0, 1))
    both_s = median(turn[1][0] for turn in turns)
    main_cpu_s = median(turn[1][1] for turn in turns)
    jobs = TURNS * POINTS + 2
    return {
        "point_cpu_s": alone_cpu_s / POINTS,
        "points_per_s_1": POINTS / alone_s,
        "points_per_s_2": POINTS / both_s,
        "speedup": median(turn[0][0] / turn[1][0] for turn in turns),
        "point_cpu_s_2": workers_cpu_s / jobs,
        "main_cpu_s_per_point_2": main_cpu_s / POINTS,
        "cores_1": alone_cpu_s / alone_s,
        "cores_2": (workers_cpu_s / jobs * POINTS + main_cpu_s) / both_s,
        "start_s": start_s,
    }


def _sweep(points: int) -> Sweep:
    grid = read_grid([f"run.seed=range({points})", *POINT])
    return plan_sweep(grid, list(compose_points(grid)))


def _timed(sweep: Sweep, executor: Executor, workers: int) -> tuple[float, float]:
    """Return the time of a whole sweep, and the CPU time of this process; s."""
    with TemporaryDirectory() as folder:
        started = time.perf_counter(), time.process_time()
        with at_work(sweep, Path(folder)) as work:
            run_missing(work, executor, workers, lambda _: None)
        return time.perf_counter() - started[0], time.process_time() - started[1]


def _cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime
