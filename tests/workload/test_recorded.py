"""Requests in memory, replayed as they came."""

import numpy as np

from simulator.streams import Streams
from simulator.workload.recorded import RecordedWorkload, TraceRow
from simulator.workload.requests import BLOCK_REQUESTS

ROWS = [TraceRow(0.01 * n, 1 + n % 7, 1 + n % 5) for n in range(BLOCK_REQUESTS + 10)]


def test_all_requests_come_once_in_order_in_blocks():
    workload = RecordedWorkload("some", ROWS)
    blocks = list(workload.blocks(Streams(0)))
    assert [block.size for block in blocks] == [BLOCK_REQUESTS, 10]
    assert [block.first_id for block in blocks] == [0, BLOCK_REQUESTS]
    arrivals = np.concatenate([block.arrival_s for block in blocks])
    assert arrivals.tolist() == [row.arrival_s for row in ROWS]
    prompts = np.concatenate([block.prompt_tokens for block in blocks])
    assert prompts.tolist() == [row.prompt_tokens for row in ROWS]


def test_bounds_and_rate_are_those_of_the_rows():
    workload = RecordedWorkload("some", ROWS)
    assert (workload.max_prompt_tokens, workload.max_output_tokens) == (7, 5)
    assert np.isclose(workload.mean_rate, 100.0)
    assert workload.concurrency is None
    assert RecordedWorkload("at once", [TraceRow(1.0, 2, 3)] * 2).mean_rate is None
