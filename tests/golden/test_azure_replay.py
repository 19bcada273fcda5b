"""A preset fitted to a trace must load a deployment as the trace itself does."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.scenarios import make_config
from helpers.serving_bench import Bench

from simulator.config import HardwareConfig, RunConfig
from simulator.scenario import build
from simulator.serving.cluster import serve
from simulator.speculation.config import SpeculationConfig
from simulator.streams import Streams
from simulator.workload.config import WorkloadConfig

DATA = os.environ.get("MOESIM_TEST_DATA")
TRACE_REQUESTS = 9739
TRACE_RATE = 5.56
"""Requests, and requests/s, in the first half of the Azure conversation trace of 2023."""

needs_data = pytest.mark.skipif(
    not DATA, reason="MOESIM_TEST_DATA does not name a folder with the Azure traces"
)


def medians(workload, gamma, replications):
    """Median TTFT and TPOT, s, pooled over replications."""
    config = make_config(
        "qwen3_30b_a3b",
        hardware=HardwareConfig(gpu="h100_sxm"),
        workload=workload,
        speculation=SpeculationConfig(gamma=gamma, alpha=0.61),
        run=RunConfig(requests=TRACE_REQUESTS),
    )
    scenario = build(config)
    ttft, tpot = [], []
    for replication in range(replications):
        bench = Bench()
        serve(
            scenario.deployment(gamma),
            scenario.router(),
            scenario.workload,
            scenario.acceptance,
            Streams(0, replication),
            requests_trace=bench.requests,
            iterations_trace=bench.iterations,
        )
        done = bench.requests
        ttft.append(done.column("first_token_s") - done.column("arrival_s"))
        several = done.column("output_tokens") > 1
        decode_s = (done.column("finish_s") - done.column("first_token_s"))[several]
        tpot.append(decode_s / (done.column("output_tokens")[several] - 1))
    return np.median(np.concatenate(ttft)), np.median(np.concatenate(tpot))


@needs_data
@pytest.mark.parametrize("gamma", [3, pytest.param(0, marks=pytest.mark.slow)])
def test_replay_and_fitted_preset_agree_on_the_medians(gamma):
    trace = Path(DATA) / "traces" / "azure_2023_conv_first_half.csv"
    replayed = medians(WorkloadConfig(kind="trace", path=str(trace)), gamma, 1)
    preset = medians(WorkloadConfig(preset="chat", rate=TRACE_RATE), gamma, 6)
    ttft_error, tpot_error = (p / r - 1 for p, r in zip(preset, replayed, strict=True))
    assert abs(ttft_error) < 0.15
    assert abs(tpot_error) < 0.15
