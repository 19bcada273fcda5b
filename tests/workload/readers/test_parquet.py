"""Parquet: own columns, and the requests of a run in the order in which they left."""

import numpy as np
import pytest
from helpers.traces import parquet, read_block, read_rows

from simulator.errors import DataError
from simulator.workload.readers import parquet as reader

PLAIN = {"arrival_s": [5.0, 6.5, 8.0], "prompt_tokens": [10, 40, 30], "output_tokens": [1, 2, 3]}


def run(order=(2, 0, 1, 3), **others):
    """Rows of two runs; those of the first left in this order."""
    columns = {
        "arm": ["speculative"] * 4 + ["baseline"] * 2,
        "replication": [0] * 6,
        "request_id": [*order, 0, 1],
        "arrival_s": [0.5 + 0.1 * number for number in order] + [9.0, 9.0],
        "prompt_tokens": [100 + number for number in order] + [1, 1],
        "output_tokens": [7] * 6,
        "traffic_class": [1] * 6,
        "tenant": [0] * 6,
    }
    return parquet(columns | others)


def test_own_columns_are_read(write):
    lists = {"prefix_hashes": [[], [4, 5], [4]], "session": ["a", "b", "a"], "city": [1, 2, 3]}
    block = read_block(write(parquet(PLAIN | lists)), "parquet")
    assert block.arrival_s.tolist() == [0.0, 1.5, 3.0]
    assert block.prompt_tokens.tolist() == [10, 40, 30]
    assert list(block.traits.prefixes) == [(), (4, 5), (4,)]
    assert block.traits.session[0] == block.traits.session[2] != block.traits.session[1]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"prompt_tokens": [10, None, 30]}, ["row 2", "prompt_tokens is null"]),
        ({"prompt_tokens": [10, 2.5, 30.0]}, ["row 2", "prompt_tokens is 2.5"]),
        ({"output_tokens": [1, -2, 3]}, ["row 2", "output_tokens is -2"]),
        ({"arrival_s": [5.0, 4.0, 8.0]}, ["row 2", "backwards"]),
        ({"arrival_s": [float("nan")] * 3}, ["row 1", "arrival_s is nan"]),
        ({"arrival_s": ["a"] * 3}, ["row 1", "arrival_s is 'a'"]),
        ({"tenant": ["x", None, "y"]}, ["row 2", "tenant is null"]),
    ],
)
def test_bad_rows_are_refused_by_number(columns, words, write):
    with pytest.raises(DataError) as caught:
        read_block(write(parquet(PLAIN | columns)), "parquet")
    for word in words:
        assert word in str(caught.value)


def test_bad_rows_are_skipped(write):
    path = write(parquet(PLAIN | {"prompt_tokens": [10, None, 30]}))
    assert [row.prompt_tokens for row in read_rows(path, "parquet", on_bad_row="skip")] == [10, 30]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_the_first_run_is_replayed_in_order_of_arrival(write, batch, monkeypatch):
    monkeypatch.setattr(reader, "BATCH_ROWS", batch)
    block = read_block(write(run()), "requests")
    assert block.prompt_tokens.tolist() == [100, 101, 102, 103]
    assert block.arrival_s == pytest.approx(np.arange(4) / 10)
    assert block.traits.traffic_class.tolist() == [1] * 4


def test_runs_that_are_not_whole_are_refused(write):
    with pytest.raises(DataError, match="request 1 of the run is missing or there twice"):
        read_block(write(run(order=(0, 2, 3, 4))), "requests")
    with pytest.raises(DataError, match=r"traffic_class is 1, but .* names 1"):
        read_block(write(run()), "requests", tasks=("chat",))
    with pytest.raises(DataError, match="unknown column 'arm'"):
        read_block(write(parquet(PLAIN)), "requests")


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", parquet(PLAIN)[:-9]]
)
def test_what_is_no_parquet_file_is_refused(write, data):
    with pytest.raises(DataError, match="not a readable Parquet file") as caught:
        read_block(write(data), "parquet")
    assert "\n" not in str(caught.value)
