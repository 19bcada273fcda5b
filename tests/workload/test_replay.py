"""Replay: the rows as recorded, or faster, or cut; as many as asked for."""

import itertools
import tracemalloc

import numpy as np
import pytest

from simulator.errors import DataError
from simulator.streams import Streams
from simulator.workload.readers.azure import read_azure
from simulator.workload.replay import Replay, open_trace
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


@pytest.fixture
def trace(tmp_path):
    """A trace of 2,500 requests, one every 0.1 s."""
    path = tmp_path / "trace.csv"
    lines = (
        f"2023-11-16 18:{i // 600:02}:{i // 10 % 60:02}.{i % 10}000000,{i + 1},{i % 7 + 1}\n"
        for i in range(2500)
    )
    path.write_text(HEADER + "".join(lines))
    return path


def columns(workload):
    blocks = list(workload.blocks(Streams(1)))
    assert [b.first_id for b in blocks] == list(range(0, workload.requests, BLOCK_REQUESTS))
    return tuple(
        np.concatenate([getattr(b, name) for b in blocks])
        for name in ("arrival_s", "prompt_tokens", "output_tokens")
    )


def test_rows_are_replayed_as_recorded(trace):
    workload = open_trace(trace, read_azure, 10_000)
    arrival_s, prompts, outputs = columns(workload)
    assert workload.requests == 2500
    assert arrival_s == pytest.approx(np.arange(2500) / 10)
    assert np.array_equal(prompts, np.arange(2500) + 1)
    assert np.array_equal(outputs, np.arange(2500) % 7 + 1)
    assert (workload.max_prompt_tokens, workload.max_output_tokens) == (2500, 7)
    assert workload.mean_rate == pytest.approx(10.0)
    assert workload.concurrency is None
    assert "trace.csv" in workload.title


def test_only_the_rows_asked_for_are_replayed_and_read(trace):
    with trace.open("a") as file:
        file.write("nonsense\n")
    workload = open_trace(trace, read_azure, 1100)
    assert columns(workload)[1].tolist() == list(range(1, 1101))
    assert workload.max_prompt_tokens == 1100
    with pytest.raises(DataError, match="line 2502"):
        open_trace(trace, read_azure, 2501)


def test_caps_cut_lengths_and_say_how_many(trace):
    caps = Replay(max_prompt_tokens=2000, max_output_tokens=6)
    workload = open_trace(trace, read_azure, 2500, replay=caps)
    _, prompts, outputs = columns(workload)
    assert (workload.max_prompt_tokens, workload.max_output_tokens) == (2000, 6)
    assert (prompts.max(), outputs.max()) == (2000, 6)
    cut = sum(i + 1 > 2000 or i % 7 + 1 > 6 for i in range(2500))
    assert any(f"{cut} of 2500 requests are cut" in line for line in workload.assumptions)


def test_a_trace_without_duration_has_no_rate(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text(HEADER + "2023-11-16 18:15:46,1,2\n")
    workload = open_trace(path, read_azure, 5)
    assert (workload.requests, workload.mean_rate) == (1, None)
    assert columns(workload)[0].tolist() == [0.0]


def test_a_file_that_shrinks_between_replays_is_noticed(trace):
    workload = open_trace(trace, read_azure, 2500)
    trace.write_text("".join(trace.read_text().splitlines(keepends=True)[:2000]))
    with pytest.raises(DataError, match="became shorter"):
        columns(workload)


def test_every_replication_replays_the_same(trace):
    workload = open_trace(trace, read_azure, 100)
    one, two = (next(workload.blocks(Streams(1, r))) for r in (0, 1))
    assert np.array_equal(one.arrival_s, two.arrival_s)


def test_memory_does_not_depend_on_the_length_of_the_trace(tmp_path):
    def endless(_path, _policy):
        for number in itertools.count():
            tokens = np.full(5000, 10)
            yield RequestBlock(5000 * number, np.full(5000, 1.0 + number), tokens, tokens)

    def peak_bytes(requests):
        tracemalloc.start()
        try:
            workload = open_trace(tmp_path, endless, requests)
            assert sum(b.size for b in workload.blocks(Streams(1))) == requests
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(BLOCK_REQUESTS)
    assert peak_bytes(200 * BLOCK_REQUESTS) < 1.2 * peak_bytes(20 * BLOCK_REQUESTS)
