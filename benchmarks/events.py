"""What an event of event fidelity costs, in timeouts of bare SimPy.

One replica of eight GPUs, Qwen3-30B-A3B with 48 MoE layers, data-parallel attention and experts
spread over all of them. Each iteration is followed event by event: attention and experts on every
GPU, dispatch and combine of every layer. Its run and a bare SimPy loop take turns, so that a busy
machine slows both. Times are CPU times of the whole process, from drawing the requests to closing
the files: loads, their prices and the trace are in them. The routes that requests walk along are
drawn before, as a run of several replications draws them once.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import closed_loop
from yardstick import timeouts_per_s

from simulator.config import Config
from simulator.scenario import build
from simulator.study.paired import Run, dispatch_tables, run_arm
from simulator.trace.parts import open_part

GPUS, LAYERS = 8, 48
"""Of the replica; all layers have experts."""

CASES = {
    "alone": (),
    "overlap": ("experts.two_batch_overlap=true",),
}
"""What a case sets: one batch, alone on its links; or two, that also meet there."""


def measure(*, rounds: int = 5, iterations: int = 400) -> dict[str, float]:
    """Run the benchmark.

    Parameters
    ----------
    rounds
        Turns of everything; the figures are medians over them.
    iterations
        About so many of each case in a turn: 864 device and link events each, twice that in two
        batches.

    Returns
    -------
    dict
        Of each case ``{case}_event_over_timeout``, CPU time of a SimPy event over that of a bare
        timeout of the same turn; ``{case}_events_per_iteration``; ``{case}_s_per_iteration``, CPU
        time; and ``simpy_timeouts_per_s``. ``sampled_s_per_iteration`` is that of the same steps
        with drawn loads and one event each: what drawing and pricing takes.
    """
    configs = {case: configuration("event", iterations, *CASES[case]) for case in CASES}
    configs["sampled"] = configuration("sampled", iterations)
    found: dict[str, list[float]] = {"simpy_timeouts_per_s": []}
    for config in configs.values():
        _serve(config)  # draws the routes
    for _ in range(rounds):
        bare_per_s = timeouts_per_s()
        found["simpy_timeouts_per_s"].append(bare_per_s)
        for case, config in configs.items():
            events, rows, spent_s = _serve(config)
            found.setdefault(f"{case}_s_per_iteration", []).append(spent_s / rows)
            if case in CASES:
                ratio = spent_s * bare_per_s / events
                found.setdefault(f"{case}_event_over_timeout", []).append(ratio)
                found.setdefault(f"{case}_events_per_iteration", []).append(events / rows)
    return {name: statistics.median(values) for name, values in found.items()}


def configuration(fidelity: str, iterations: int, *settings: str) -> Config:
    """Compose a full batch of 16 users a GPU that decodes about so many iterations."""
    return closed_loop.full_batch(
        max(iterations // 2, 1),
        2 * GPUS * closed_loop.USERS // 4,
        "model=qwen3_30b_a3b",
        "hardware=h100_sxm",
        "hardware.tensor_parallel=1",
        f"hardware.data_parallel={GPUS}",
        f"hardware.expert_parallel={GPUS}",
        f"workload.concurrency={GPUS * closed_loop.USERS // 4}",
        f"experts.fidelity={fidelity}",
        *settings,
    )


def _serve(config: Config) -> tuple[int, int, float]:
    """Return the SimPy events of a run without speculation, its iterations, and its CPU time."""
    scenario = build(config)
    scenario.deployment(0)
    with TemporaryDirectory() as folder:
        names = ("requests", "iterations", *dispatch_tables(config))
        tables = tuple(Path(folder) / f"{name}.parquet" for name in names)
        began = process_time()
        events = run_arm(scenario, Run("baseline", 0), tables)
        spent_s = process_time() - began
        part = open_part(Run("baseline", 0).part(tables[1]), "iterations")
        rows = sum(block.num_rows for block in part.blocks)
    return events, rows, spent_s
