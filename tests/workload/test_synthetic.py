"""Drawn workloads: reproducible block by block, seamless, and flat in memory."""

import tracemalloc

import numpy as np
import pytest

from simulator.streams import Streams
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.presets import read_preset
from simulator.workload.requests import BLOCK_REQUESTS

LOOP = WorkloadConfig(kind="closed_loop", concurrency=8, prompt_tokens=128, output_tokens=1024)


def columns(workload, streams):
    blocks = list(workload.blocks(streams))
    return tuple(
        np.concatenate([getattr(b, name) for b in blocks])
        for name in ("arrival_s", "prompt_tokens", "output_tokens")
    )


@pytest.mark.parametrize("preset", ["chat", "code"])
@pytest.mark.parametrize("requests", [1, BLOCK_REQUESTS, BLOCK_REQUESTS + 1, 5000])
def test_blocks_number_the_requests_without_gaps(preset, requests):
    workload = build_workload(WorkloadConfig(preset=preset), requests)
    expected_id = 0
    for block in workload.blocks(Streams(1)):
        assert block.first_id == expected_id
        assert block.size == block.prompt_tokens.size == block.output_tokens.size
        assert (block.arrival_s.dtype, block.prompt_tokens.dtype) == (np.float64, np.int64)
        expected_id += block.size
    assert expected_id == requests == workload.requests


@pytest.mark.parametrize("preset", ["chat", "code"])
def test_lengths_stay_within_the_bounds_known_before(preset):
    workload = build_workload(WorkloadConfig(preset=preset), 50_000)
    arrival_s, prompts, outputs = columns(workload, Streams(2))
    assert (np.diff(arrival_s) >= 0).all()
    assert prompts.min() >= 1
    assert outputs.min() >= 1
    assert prompts.max() <= workload.max_prompt_tokens
    assert outputs.max() <= workload.max_output_tokens


def test_equal_streams_give_equal_requests_and_others_do_not():
    workload = build_workload(WorkloadConfig(), 3000)
    one, two = columns(workload, Streams(3)), columns(workload, Streams(3))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a, b)
    for streams in (Streams(4), Streams(3, replication=1)):
        for a, b in zip(one, columns(workload, streams), strict=True):
            assert not np.array_equal(a, b)


def test_a_short_run_is_a_prefix_of_a_long_one():
    short = columns(build_workload(WorkloadConfig(), 1500), Streams(5))
    long = columns(build_workload(WorkloadConfig(), 4000), Streams(5))
    for a, b in zip(short, long, strict=True):
        assert np.array_equal(a, b[:1500])


def test_a_block_of_lengths_is_drawn_from_its_own_block_of_the_stream():
    streams, preset = Streams(6), read_preset("chat")
    blocks = list(build_workload(WorkloadConfig(), 4000).blocks(streams))
    alone = preset.prompt.sample(streams.block("prompt_lengths", 2), BLOCK_REQUESTS)
    assert np.array_equal(blocks[2].prompt_tokens, alone)
    alone = preset.output.sample(streams.block("output_lengths", 1), BLOCK_REQUESTS)
    assert np.array_equal(blocks[1].output_tokens, alone)


@pytest.mark.parametrize("change", [{"rate": 9.0}, {"arrivals": "poisson"}, {"output_tokens": 3}])
def test_other_settings_leave_the_prompts_alone(change):
    before = columns(build_workload(WorkloadConfig(), 2000), Streams(7))
    after = columns(build_workload(WorkloadConfig(**change), 2000), Streams(7))
    assert np.array_equal(before[1], after[1])


def test_prompts_and_outputs_are_independent():
    _, prompts, outputs = columns(build_workload(WorkloadConfig(), 40_000), Streams(8))
    ranks = [np.argsort(np.argsort(x)) for x in (prompts, outputs)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 4 / np.sqrt(40_000)


def test_a_closed_loop_has_no_arrival_times():
    workload = build_workload(LOOP, 2000)
    arrival_s, prompts, outputs = columns(workload, Streams(9))
    assert not arrival_s.any()
    assert set(prompts) == {128}
    assert set(outputs) == {1024}
    assert (workload.concurrency, workload.mean_rate) == (8, None)


def peak_bytes(config, requests):
    """Peak of memory allocated while streaming a workload."""
    tracemalloc.start()
    try:
        count = sum(block.size for block in build_workload(config, requests).blocks(Streams(10)))
        assert count == requests
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("preset", ["chat", pytest.param("code", marks=pytest.mark.slow)])
def test_a_million_requests_stream_in_flat_memory(preset):
    config = WorkloadConfig(preset=preset, rate=5.0)
    peak_bytes(config, 1024)  # imports and caches
    assert peak_bytes(config, 1_000_000) < 2e6
