"""Memory that does not grow with the length of a run."""

import gc
import tracemalloc
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
from helpers.serving_bench import FakeSteps

from simulator.serving.cluster import serve
from simulator.serving.cluster_config import AffinityConfig
from simulator.serving.deployment import Deployment
from simulator.serving.router import LeastOutstanding
from simulator.serving.scheduler import Limits
from simulator.speculation.acceptance import PositionAcceptance
from simulator.streams import Streams
from simulator.trace.parts import open_part
from simulator.trace.schema import ITERATIONS, REQUESTS
from simulator.trace.writer import TraceWriter
from simulator.workload.requests import RequestBlock

BLOCK = 256
USERS = 32
ROWS = 128
"""Rows of a trace block: so few that the shortest run compared here fills one of both tables."""


@dataclass
class Stream:
    """Requests in blocks, drawn as they are needed; ``drawn`` says when: requests done by then."""

    requests: int
    concurrency: int | None
    max_output_tokens: int = 16
    done: int = 0
    drawn: list = field(default_factory=list)

    def blocks(self, streams):
        for first_id in range(0, self.requests, BLOCK):
            self.drawn.append(self.done)
            outputs = streams.block("outputs", first_id).integers(1, 17, BLOCK)
            # An open loop at 60 % load: a request takes 10 steps or fewer of 10 ms, 32 at a time.
            arrivals = (first_id + np.arange(BLOCK)) * 0.005
            yield RequestBlock(first_id, arrivals, np.full(BLOCK, 64), outputs)


class Counting(TraceWriter):
    """A trace of requests that tells the stream how many are done."""

    stream: Stream

    def flush(self):
        self.stream.done += len(self.rows)
        super().flush()


def run(folder, requests, concurrency):
    """Serve a stream with its trace on disk; return the stream."""
    stream = Stream(requests, concurrency)
    constants = {"arm": "speculative", "replication": 0}
    with ExitStack() as stack:
        done = stack.enter_context(Counting(folder / "requests", REQUESTS, {}, constants))
        done.stream = stream
        steps = stack.enter_context(TraceWriter(folder / "iterations", ITERATIONS, {}, constants))
        serve(
            Deployment(
                costs=[FakeSteps(gamma=2, step_s=0.01)],
                replicas=1,
                limits=Limits(max_num_seqs=USERS, max_batched_tokens=8192),
                kv_capacity_tokens=100_000,
            ),
            partial(LeastOutstanding, AffinityConfig()),
            stream,
            PositionAcceptance([0.7]),
            Streams(1),
            requests_trace=done,
            iterations_trace=steps,
        )
    assert sum(block.num_rows for block in open_part(folder / "requests").blocks) == requests
    return stream


@pytest.fixture
def _small_blocks(monkeypatch):
    """Rows per trace block, small enough that a short run fills many."""
    monkeypatch.setattr("simulator.serving.replica.BLOCK_ROWS", ROWS)


def peak_bytes(folder, requests, concurrency):
    folder.mkdir()
    gc.collect()
    tracemalloc.start()
    try:
        run(folder, requests, concurrency)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("concurrency", [USERS, None], ids=["closed loop", "open loop"])
def test_thrice_the_requests_take_the_same_memory(tmp_path, concurrency):
    peak_bytes(tmp_path / "warm", BLOCK, concurrency)  # imports and caches
    short = peak_bytes(tmp_path / "short", 24 * BLOCK, concurrency)
    long = peak_bytes(tmp_path / "long", 80 * BLOCK, concurrency)
    # No Python object is smaller than 16 bytes: one left behind by every request would show.
    # Measured: 2 bytes a request, from 20,000 to 40,000 requests 0.2; before 6,000 requests the
    # buffers are not full.
    assert long < short + 16 * 56 * BLOCK


@pytest.mark.usefixtures("_small_blocks")
def test_requests_are_drawn_as_they_are_needed(tmp_path):
    stream = run(tmp_path, 20 * BLOCK, USERS)
    assert len(stream.drawn) == 20
    # When block n is drawn, all requests before it were sent: all but those in flight and those
    # of an unflushed trace block are done.
    for number, done in enumerate(stream.drawn):
        assert done >= number * BLOCK - USERS - ROWS
