"""Real traces, where they are (folder in MOESIM_TEST_DATA): the statistics known of them."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.traces import read_block

from simulator.streams import Streams
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.servegen import open_clients
from simulator.workload.transforms import joined


@pytest.fixture
def trace():
    def trace(name):
        folder = os.environ.get("MOESIM_TEST_DATA")
        if not folder:
            pytest.skip("set MOESIM_TEST_DATA to the folder that holds traces/")
        path = Path(folder) / "traces" / name
        if not path.exists():
            pytest.skip(f"{path} is not there")
        return path

    return trace


def count_cv(arrival_s, window_s):
    counts = np.histogram(arrival_s, bins=np.arange(0, arrival_s[-1], window_s))[0]
    return counts.std() / counts.mean()


def reused_share(block):
    """Share of prompt tokens that an infinite prefix cache would have."""
    seen, reused = set(), 0
    for hashes, prompt in zip(block.traits.prefixes, block.prompt_tokens, strict=True):
        known = next((i for i, one in enumerate(hashes) if one not in seen), len(hashes))
        reused += min(known * block.traits.hash_tokens, int(prompt))
        seen.update(hashes)
    return reused / block.prompt_tokens.sum()


@pytest.mark.parametrize(
    ("name", "rows", "rate", "cvs", "prompts", "outputs"),
    [
        ("conv", 9739, 5.56, (0.485, 0.234, 0.194), (1035, 4075, 4122), (140, 428, 612)),
        ("code", 5353, 3.14, (2.13, 1.58, 1.02), (1465, 4995, 7436), (13, 54, 247)),
    ],
)
def test_azure(trace, name, rows, rate, cvs, prompts, outputs):
    block = read_block(trace(f"azure_2023_{name}_first_half.csv"), "azure")
    assert block.size == rows
    assert (rows - 1) / block.arrival_s[-1] == pytest.approx(rate, rel=0.02)
    found = [count_cv(block.arrival_s, window_s) for window_s in (1, 10, 60)]
    assert found == pytest.approx(cvs, rel=0.02)
    assert np.quantile(block.prompt_tokens, [0.5, 0.9, 0.99]) == pytest.approx(prompts, rel=0.02)
    assert np.quantile(block.output_tokens, [0.5, 0.9, 0.99]) == pytest.approx(outputs, rel=0.02)


def test_mooncake(trace):
    path = trace("mooncake_conversation_first_30min.jsonl.gz")
    block = read_block(path, "mooncake")
    assert block.size == 5719
    assert reused_share(block) == pytest.approx(0.347, abs=0.01)
    assert count_cv(block.arrival_s, 1) > 1.4  # an artefact of ticks of 3 s
    config = WorkloadConfig(kind="trace", format="mooncake", path=str(path))
    replayed = joined(list(build_workload(config, 10**6).blocks(Streams(1))))
    assert count_cv(replayed.arrival_s, 1) < 0.7  # Poisson at this rate: 0.56
    assert reused_share(replayed) == pytest.approx(0.347, abs=0.01)


def test_agentic_sessions(trace):
    config = WorkloadConfig(
        kind="trace", format="agentic", path=str(trace("weka_agentic")), concurrency=4
    )
    block = joined(list(build_workload(config, 10**6).blocks(Streams(1))))
    assert block.size == 230
    assert block.prompt_tokens.sum() == 18_078_034  # the totals that the files state
    assert block.output_tokens.sum() == 130_071
    assert reused_share(block) > 0.9


def test_servegen_clients(trace):
    workload = open_clients(trace("servegen_deepseek_r1") / "raw.tar.gz", 60_000)
    assert len(workload.clients) == 73
    assert workload.mean_rate == pytest.approx(16.0, rel=0.01)
    assert (workload.max_prompt_tokens, workload.max_output_tokens) == (57_284, 32_768)
    block = joined(list(workload.blocks(Streams(1))))
    expected = 0.0
    for window in workload.windows:
        span_s = min(window.ends_s, float(block.arrival_s[-1])) - window.begins_s
        expected += max(0.0, span_s) * sum(one.rates[window.index] for one in workload.clients)
    assert expected == pytest.approx(60_000, rel=0.03)
