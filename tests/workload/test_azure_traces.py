"""Presets against the traces they stand for; needs the files (folder in MOESIM_TEST_DATA)."""

import os
from pathlib import Path

import numpy as np
import pytest

from simulator.streams import Streams
from simulator.workload.arrivals import GammaModulatedPoisson
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.presets import read_preset

FILES = {"chat": "azure_2023_conv_first_half.csv", "code": "azure_2023_code_first_half.csv"}


@pytest.fixture(scope="module", params=FILES)
def pair(request):
    """A preset and the columns of the first half of its trace."""
    folder = os.environ.get("MOESIM_TEST_DATA")
    if not folder:
        pytest.skip("set MOESIM_TEST_DATA to the folder that holds traces/azure_2023_*.csv")
    path = Path(folder) / "traces" / FILES[request.param]
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    workload = build_workload(WorkloadConfig(kind="trace", path=str(path)), 10**6)
    blocks = list(workload.blocks(Streams(1)))
    columns = [
        np.concatenate([getattr(b, name) for b in blocks])
        for name in ("arrival_s", "prompt_tokens", "output_tokens")
    ]
    return read_preset(request.param), workload, columns


def test_the_whole_file_is_read(pair):
    preset, workload, (arrival_s, prompts, outputs) = pair
    assert workload.requests == {"chat": 9739, "code": 5353}[preset.name]
    assert workload.max_prompt_tokens == prompts.max() <= preset.prompt.max_tokens
    assert workload.max_output_tokens == outputs.max() <= preset.output.max_tokens
    assert arrival_s[-1] == pytest.approx({"chat": 1750.8459, "code": 1705.7975}[preset.name])


def test_medians_and_means_of_lengths_are_near_the_trace(pair):
    preset, _, (_, prompts, outputs) = pair
    for law, column in ((preset.prompt, prompts), (preset.output, outputs)):
        assert law.quantile(0.5) == pytest.approx(np.median(column), rel=0.08)
        assert law.mean() == pytest.approx(column.mean(), rel=0.08)
        assert law.quantile(0.9) == pytest.approx(np.quantile(column, 0.9), rel=0.20)


@pytest.mark.parametrize("window_s", [1, 10, 60])
def test_burstiness_of_the_trace_is_typical_of_the_preset(pair, window_s):
    """The CV of counts in the trace lies among those of simulated stretches equally long."""
    preset, workload, (arrival_s, *_) = pair
    law = GammaModulatedPoisson(workload.mean_rate, preset.modulations)
    span_s = arrival_s[-1]

    def count_cv(times_s):
        counts = np.histogram(times_s, bins=np.arange(0, span_s, window_s))[0]
        return counts.std() / counts.mean()

    simulated = []
    for replication in range(100):
        times = []
        for block in law.times(Streams(2, replication)):
            times.append(block)
            if block[-1] > span_s:
                break
        simulated.append(count_cv(np.concatenate(times)))
    low, high = np.quantile(simulated, [0.01, 0.99])
    assert low < count_cv(arrival_s) < high
    assert np.median(simulated) == pytest.approx(count_cv(arrival_s), rel=0.25)
