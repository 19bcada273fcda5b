import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from simulator.errors import DataError
from simulator.trace.parquet import ParquetStream
from simulator.trace.read import Run, chunks, open_trace
from simulator.trace.schema import REQUESTS, SCHEMA_VERSION, with_notes

RUN = {"arm": "baseline", "replication": 0}


def test_chunks_come_by_run_in_file_order_with_nan_for_null(write_trace, request_row):
    requests, _ = write_trace(
        {
            ("baseline", 0): [request_row(0, 1.0, 2.0, 3.0), request_row(1, 4.0)],
            ("speculative", 0): [request_row(0, 1.0, 2.0, 2.5)],
        },
        {("baseline", 0): []},
    )
    found = list(chunks(requests, "requests", ["finish_s", "arrival_s"]))
    assert [run for run, _ in found] == [Run("baseline", 0), Run("speculative", 0)]
    assert list(found[0][1]) == ["finish_s", "arrival_s"]
    np.testing.assert_array_equal(found[0][1]["finish_s"], [3.0, math.nan])
    np.testing.assert_array_equal(found[0][1]["arrival_s"], [1.0, 4.0])
    np.testing.assert_array_equal(found[1][1]["finish_s"], [2.5])


def test_a_row_group_of_several_runs_is_split(write_trace, request_row, tmp_path):
    requests, _ = write_trace(
        {
            ("baseline", 0): [request_row(0, 1.0, 2.0, 3.0)],
            ("baseline", 1): [request_row(0, 5.0, 6.0, 7.0)],
            ("speculative", 1): [request_row(0, 8.0, 9.0, 9.5)],
        },
        {("baseline", 0): []},
    )
    # As an analyst's tool would write it: one group for all, metadata kept.
    together = tmp_path / "together.parquet"
    with pq.ParquetFile(requests) as file:
        table = file.read()
    schema = with_notes(table.schema, {"complete": "true"})
    pq.write_table(table.replace_schema_metadata(schema.metadata), together)
    found = {
        run: rows["arrival_s"].tolist() for run, rows in chunks(together, "requests", ["arrival_s"])
    }
    assert found == {
        Run("baseline", 0): [1.0],
        Run("baseline", 1): [5.0],
        Run("speculative", 1): [8.0],
    }


def test_an_empty_trace_has_no_chunks(write_trace):
    requests, iterations = write_trace({("baseline", 0): []}, {("baseline", 0): []})
    assert list(chunks(requests, "requests", ["arrival_s"])) == []
    assert list(chunks(iterations, "iterations", ["start_s"])) == []


def test_a_missing_file_names_the_command_for_what_a_cut_off_run_leaves(tmp_path):
    with pytest.raises(DataError, match=rf"no trace '.*x.parquet'.* moesim recover {tmp_path}"):
        open_trace(tmp_path / "x.parquet")


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_text("arrival,finish\n0,1\n")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        open_trace(path)


def test_parquet_without_our_metadata_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(REQUESTS.empty_table().replace_schema_metadata(None), path)
    with pytest.raises(DataError, match="has no moesim metadata"):
        open_trace(path)


def test_the_wrong_table_is_refused(write_trace):
    requests, _ = write_trace({("baseline", 0): []}, {("baseline", 0): []})
    with pytest.raises(DataError, match="holds the table requests, not iterations"):
        open_trace(requests, "iterations")


def test_another_schema_version_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    schema = with_notes(REQUESTS, {"schema_version": "999", "complete": "true"})
    pq.write_table(schema.empty_table(), path)
    with pytest.raises(
        DataError, match=f"has trace schema 999, this moesim reads {SCHEMA_VERSION}"
    ):
        open_trace(path)


def test_an_incomplete_file_is_refused(tmp_path):
    ParquetStream(tmp_path / "x.parquet", REQUESTS).abandon()
    with pytest.raises(DataError, match="is incomplete: its run was cut off"):
        open_trace(tmp_path / "x.parquet.incomplete", "requests")
