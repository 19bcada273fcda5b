"""Folders of measurements that a known engine made up, as `moesim validate engine` reads them."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from simulator.costs.engine import load_engine
from simulator.experts.laws import Overlap, distinct_experts
from simulator.study.engines.bench import bench_of, nominal_machine
from simulator.study.engines.calibration import law_of
from simulator.study.engines.models import read_models
from simulator.study.engines.replay import replay
from simulator.study.engines.requests import Latencies, MeasuredRun
from simulator.study.engines.step_rows import StepRow
from simulator.workload.recorded import TraceRow

SHAPE = {"layers": 4, "hidden": 1024, "heads": 16, "kv_heads": 4, "head_dim": 64, "vocab": 8192}
MODELS = {
    "engine": {"engine": "made up, eager", "max_num_seqs": 64, "max_num_batched_tokens": 2048},
    "drafter": SHAPE | {"layers": 2, "hidden": 256, "heads": 4, "kv_heads": 2, "inter": 1024},
    "models": {
        "moe": SHAPE | {"experts": 64, "top_k": 8, "expert_inter": 512},
        "dense": SHAPE | {"layers": 6, "inter": 4096},
    },
}

TRUTH = replace(
    load_engine("vllm"),
    bandwidth_fraction=0.6,
    compute_fraction=0.2,
    operator_launch_s=6e-5,
    plain_step_s=8e-4,
    plain_request_s=2e-5,
    verify_step_s=1.2e-3,
    verify_request_s=1e-4,
    draft_step_s=3e-4,
    draft_request_s=8e-5,
    routing_within_request=0.6,
    routing_across_requests=0.9,
    routing_prompt=1.0,
)
"""The engine that made the measurements up."""

STEPS = (
    *("model", "gamma", "batch", "context_tokens", "step_ms", "target_ms", "draft_ms"),
    *("active_experts", "role"),
)
REQUESTS = (
    *("run", "model", "gamma", "alpha", "rate", "id", "arrival_s", "prompt_tokens"),
    *("output_tokens", "first_token_s", "finish_s"),
)
"""Columns of the files."""

BATCHES = (1, 2, 4, 8, 16, 32, 64)


def models_file(folder: Path) -> Path:
    path = folder / "models.yaml"
    path.write_text(yaml.safe_dump(MODELS), encoding="utf-8")
    return path


@cache
def _bench(folder: Path):
    return bench_of(read_models(models_file(folder)), nominal_machine(), load_engine("vllm"))


def bench(folder: Path):
    """The cost models of the made-up models."""
    return _bench(folder)


def step_rows(bench, *, models=("moe",), gammas=(0, 4), parts=True, experts=True):
    """Rows as the true engine takes them."""
    law, rows, line = law_of(TRUTH), [], 1
    for model in models:
        for gamma in gammas:
            for batch in BATCHES:
                line += 1
                row = StepRow(
                    line=line, model=model, gamma=gamma, batch=batch, context_tokens=128, step_s=1.0
                )
                active = _active(row, law) if model == "moe" else None
                times = bench.times(replace(row, active_experts=active), TRUTH, law)
                target, draft, host = times
                rows.append(
                    replace(
                        row,
                        step_s=target + draft + host,
                        target_s=target if parts else None,
                        draft_s=(draft or None) if parts else None,
                        active_experts=active if experts else None,
                        role="check" if batch in (2, 8, 32) else "calibrate",
                    )
                )
    return rows


def _active(row, law: Overlap) -> float:
    return distinct_experts(64, 8, law.independent_tokens(row.batch, row.gamma + 1, 0))


def write_steps(path: Path, rows) -> Path:
    """Write rows as a file, times in ms."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(STEPS)
        for row in rows:
            times = [t * 1e3 if t else "" for t in (row.step_s, row.target_s, row.draft_s)]
            out.writerow(
                [row.model, row.gamma, row.batch, 128, *times, row.active_experts or "", row.role]
            )
    return path


def write_requests(path: Path, runs) -> Path:
    """Write runs ``(name, model, gamma)`` of 40 requests as the true engine serves them."""
    generator = np.random.default_rng(1)
    measured = read_models(path.parent / "models.yaml")
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(REQUESTS)
        for name, model, gamma in runs:
            arrivals = np.cumsum(generator.exponential(0.25, 40)).round(6)
            rows = tuple(
                TraceRow(
                    float(at), int(generator.integers(20, 300)), int(generator.integers(2, 80))
                )
                for at in arrivals
            )
            nothing = Latencies(np.empty(0), np.empty(0), np.empty(0))
            run = MeasuredRun(name, model, gamma, 0.8, rows, nothing)
            served = replay(run, measured, nominal_machine(), TRUTH).simulated
            for number, row in enumerate(rows):
                first_s = row.arrival_s + served.ttft_s[number]
                finish_s = row.arrival_s + served.e2e_s[number]
                out.writerow([name, model, gamma, 0.8, 4, number, *row, first_s, finish_s])
    return path


def write_folder(folder: Path, *, runs=(("plain", "moe", 0), ("drafts", "moe", 4))) -> Path:
    """Write a whole folder."""
    folder.mkdir(parents=True, exist_ok=True)
    models_file(folder)
    write_steps(folder / "steps.csv", step_rows(bench(folder), models=("moe", "dense")))
    write_requests(folder / "requests.csv", runs)
    return folder
