"""How fast the event loop turns, as a ratio to SimPy's own.

64 users on one replica, or 64 on each of 32, trace on, against a bare SimPy loop: one process that
yields timeouts. They take turns, so that a busy machine slows all. Times are CPU times of the whole
process, from drawing the requests to closing the Parquet files; pricing steps from the kernel
tables is in them.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import closed_loop
import naive
import numpy as np
import pyarrow.parquet as pq
from yardstick import timeouts_per_s

from simulator.config import Config
from simulator.costs.curves import Window
from simulator.errors import InvariantError
from simulator.scenario import Scenario, build
from simulator.serving.replica import StepTimes

CASES = {
    "ring": ("speculative", 1024),
    "ring_short": ("speculative", 256),
    "ring_baseline": ("baseline", 1024),
    "slots": ("speculative", 1024),
    "cluster": ("speculative", 1024),
}
"""Name of a case: its arm, and the output tokens of its requests."""

REPLICAS = {"cluster": 32}
"""Replicas of a case behind the router, 64 users each; one where nothing is said."""

SETTINGS = {
    "slots": (
        "speculation.policy=batch_schedule",
        "speculation.schedule=[[1,32,2],[33,64,3]]",
    )
}
"""What a case changes: a policy, so that the draft length may change at every step."""


def measure(*, rounds: int = 5, output_tokens: int = 10_000_000) -> dict[str, float]:
    """Run the benchmark.

    Parameters
    ----------
    rounds
        Turns of everything; the figures are medians over them.
    output_tokens
        Tokens that each case generates in a turn: 10 million take 72,000 iterations of the ring.

    Returns
    -------
    dict
        ``{case}_iterations_per_s``, per CPU second, and ``{case}_over_simpy``, its ratio to
        ``simpy_timeouts_per_s`` of the same turn; ``ring_over_naive`` and ``slots_over_naive``,
        the ratio to a process per request (`naive`) of the same turn. Of the ring also
        ``events_per_iteration``, ``mean_batch``, ``cost_s_per_iteration`` and ``cost_share`` of
        its CPU time for pricing all steps from empty tables, and ``lookup_s_per_iteration``, the
        same with the tables filled.
    """
    configs = {case: _configuration(case, output_tokens) for case in CASES}
    rates: dict[str, list[float]] = {case: [] for case in ("simpy", *CASES, "naive")}
    figures: dict[str, float] = {}
    for _ in range(rounds):
        rates["simpy"].append(timeouts_per_s())
        for case, config in configs.items():
            scenario = build(config)  # afresh: step times compile in the turn that uses them
            with TemporaryDirectory() as folder:
                began = process_time()
                served = closed_loop.serve(scenario, CASES[case][0], Path(folder))
                rates[case].append(served.rows / (process_time() - began))
                _check(scenario, served)
                if case == "ring":
                    figures = _facts(scenario, served)
                    rates["naive"].append(_naive_rate(config, served))
    for case, found in rates.items():
        unit = "timeouts" if case == "simpy" else "iterations"
        figures[f"{case}_{unit}_per_s"] = statistics.median(found)
        if case != "simpy":
            pairs = zip(found, rates["simpy"], strict=True)
            figures[f"{case}_over_simpy"] = statistics.median(ours / bare for ours, bare in pairs)
    for case in ("ring", "slots"):
        pairs = zip(rates[case], rates["naive"], strict=True)
        figures[f"{case}_over_naive"] = statistics.median(ours / naive for ours, naive in pairs)
    figures["cost_share"] = figures["cost_s_per_iteration"] * figures["ring_iterations_per_s"]
    return figures


def _configuration(case: str, output_tokens: int) -> Config:
    """Compose a case that generates a number of tokens, with four requests a user at least."""
    tokens, replicas = CASES[case][1], REPLICAS.get(case, 1)
    requests = max(output_tokens // tokens, 4 * replicas * closed_loop.USERS)
    return closed_loop.full_batch(tokens, requests, *SETTINGS.get(case, ()), replicas=replicas)


def _naive_rate(config: Config, served: closed_loop.Served) -> float:
    """Iterations per CPU second of the naive engine, which must leave the same iterations."""
    scenario = build(config)
    with TemporaryDirectory() as folder:
        began = process_time()
        path = naive.serve(scenario, Path(folder))
        spent_s = process_time() - began
        theirs, ours = pq.read_table(path), served.iterations.read()
    for name in ("start_s", "decode_requests", "emitted_tokens", "context_tokens"):
        if not theirs[name].equals(ours[name]):
            raise InvariantError(f"the naive engine has other {name} than the ring.")
    return theirs.num_rows / spent_s


def _check(scenario: Scenario, served: closed_loop.Served) -> None:
    """Refuse a trace that lacks tokens, or an iteration of a replica."""
    names = ["prefill_tokens", "emitted_tokens", "replica", "iteration"]
    table = served.iterations.read(columns=names)
    prefilled, emitted, replica, iteration = (table[name].to_numpy() for name in names)
    prompts = scenario.workload.requests * scenario.workload.max_prompt_tokens
    outputs = scenario.workload.requests * scenario.workload.max_output_tokens
    if (prefilled.sum(), emitted.sum()) != (prompts, outputs):
        raise InvariantError(f"the trace does not hold {prompts} prompt and {outputs} tokens.")
    for index in range(scenario.config.hardware.replicas):
        of_replica = iteration[replica == index]
        if not np.array_equal(of_replica, np.arange(len(of_replica))):
            raise InvariantError(f"the trace skips or repeats iterations of replica {index}.")


def _facts(scenario: Scenario, served: closed_loop.Served) -> dict[str, float]:
    """What the trace says of the ring, and what its step times cost."""
    table = served.iterations.read()
    column = {name: table[name].to_numpy() for name in table.column_names if name != "arm"}
    names = ("decode_requests", "context_tokens", "prefill_tokens")
    shapes = list(zip(*(column[name].tolist() for name in names), strict=True))
    costs = build(scenario.config).deployment(scenario.config.speculation.gamma).costs[-1]
    return {
        "events_per_iteration": served.events / served.rows,
        "mean_batch": float(column["decode_requests"].mean()),
        "cost_s_per_iteration": _pricing_s(costs, shapes) / served.rows,
        "lookup_s_per_iteration": _pricing_s(costs, shapes) / served.rows,
    }


def _pricing_s(costs: StepTimes, shapes: list[tuple[int, int, int]]) -> float:
    """CPU time to price the steps of a run, as `serving.replica.Replica` does."""
    began = process_time()
    priced, window = 0, Window(0.0, 0.0, 0, -1, 0.0)
    for requests, context_tokens, prompt_tokens in shapes:
        if prompt_tokens:
            costs.mixed_s(requests, context_tokens, [(0, prompt_tokens)])
            costs.active_experts(requests, prompt_tokens)
            priced = 0
        else:
            if requests != priced or not window[2] <= context_tokens <= window[3]:
                priced, window = requests, costs.decode_window(requests, context_tokens)
            _ = window[0] + window[1] * context_tokens
    return process_time() - began
