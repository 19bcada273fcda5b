import math
import os
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pytest
from helpers.trace_rows import request_column
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, InvariantError
from simulator.trace.definitions import REQUEST_DEFINITIONS, TIME_DEFINITIONS
from simulator.trace.parts import open_part, read_part
from simulator.trace.schema import (
    ITERATIONS,
    NAMES,
    REQUESTS,
    SCHEMA_VERSION,
    notes_of,
    row_columns,
)
from simulator.trace.writer import TraceWriter

RUN = {"arm": "speculative", "replication": 3}


def _value(field):
    if field.name in NAMES:
        return st.integers(0, len(NAMES[field.name]) - 1)
    if pa.types.is_integer(field.type):
        bits = field.type.bit_width - 1
        return st.integers(-(2**bits), 2**bits - 1)
    return st.floats(allow_infinity=False, allow_nan=field.nullable, width=field.type.bit_width)


def _rows(schema):
    return st.lists(st.tuples(*(_value(schema.field(name)) for name in row_columns(schema))))


@pytest.mark.parametrize("schema", [REQUESTS, ITERATIONS], ids=["requests", "iterations"])
def test_round_trip_keeps_every_value_whatever_the_blocks(schema, tmp_path_factory):
    @settings(max_examples=40)
    @given(blocks=st.lists(_rows(schema), max_size=4))
    def check(blocks):
        path = tmp_path_factory.mktemp("trip") / "part.arrows"
        with TraceWriter(path, schema, {}, RUN) as writer:
            for block in blocks:
                writer.rows.extend(block)
                writer.flush()
        table = read_part(path)
        table.validate(full=True)
        rows = [row for block in blocks for row in block]
        assert writer.rows_written == table.num_rows == len(rows)
        for index, name in enumerate(row_columns(schema)):
            expected = [None if row[index] != row[index] else row[index] for row in rows]
            if name in NAMES:
                expected = [NAMES[name][value] for value in expected]
            assert table[name].to_pylist() == expected
        assert set(table["arm"].to_pylist()) <= {"speculative"}
        assert set(table["replication"].to_pylist()) <= {3}

    check()


def test_schema_and_notes_travel_with_the_file(tmp_path):
    path = tmp_path / "part.arrows"
    with TraceWriter(path, REQUESTS, {"seed": "7", "config": '{"a": 1}'}, RUN):
        pass
    schema = read_part(path).schema
    assert notes_of(schema.metadata) == {
        "schema_version": SCHEMA_VERSION,
        "table": "requests",
        **TIME_DEFINITIONS,
        **REQUEST_DEFINITIONS,
        "seed": "7",
        "config": '{"a": 1}',
        "arm": "speculative",
        "replication": "3",
    }
    assert schema.field("arrival_s").metadata[b"unit"] == b"s"
    assert schema.field("arm").type == REQUESTS.field("arm").type


def test_the_list_of_rows_stays_the_same_object(tmp_path, request_row):
    with TraceWriter(tmp_path / "part.arrows", REQUESTS, {}, RUN) as writer:
        append = writer.rows.append
        append(request_row(0, 0.0, 1.0, 2.0))
        writer.flush()
        append(request_row(1, 0.0, 1.0, 2.0))
        assert len(writer.rows) == 1
    assert writer.rows_written == 2
    assert writer.rows == []


def test_each_flush_is_one_block_and_an_empty_one_none(tmp_path, request_row):
    path = tmp_path / "part.arrows"
    with TraceWriter(path, REQUESTS, {}, RUN) as writer:
        for size in (3, 0, 2):
            writer.rows.extend(request_row(i, 0.0, 1.0, 2.0) for i in range(size))
            writer.flush()
    assert [block.num_rows for block in open_part(path).blocks] == [3, 2]


def test_a_rejected_request_has_nulls_not_nans(tmp_path, request_row):
    path = tmp_path / "part.arrows"
    with TraceWriter(path, REQUESTS, {}, RUN) as writer:
        writer.rows.append(request_row(0, 5.0))
    row = read_part(path).to_pylist()[0]
    assert row["arrival_s"] == 5.0
    assert [row[name] for name in ("admitted_s", "first_token_s", "finish_s")] == [None] * 3


def test_the_file_has_no_name_before_it_is_complete(tmp_path):
    path = tmp_path / "part.arrows"
    writer = TraceWriter(path, REQUESTS, {}, RUN)
    assert not path.exists()
    assert (tmp_path / "part.arrows.incomplete").exists()
    writer.close()
    assert os.listdir(tmp_path) == ["part.arrows"]
    assert writer.path == path


def test_an_exception_leaves_a_partial_file_that_says_so(tmp_path, request_row):
    path = tmp_path / "part.arrows"

    def run():
        with TraceWriter(path, REQUESTS, {}, RUN) as writer:
            writer.rows.append(request_row(0, 0.0, 1.0, 2.0))
            writer.flush()
            writer.rows.append(request_row(1, 0.0, 1.0, 2.0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert os.listdir(tmp_path) == ["part.arrows.incomplete"]
    left = read_part(tmp_path / "part.arrows.incomplete")
    assert left["request_id"].to_pylist() == [0]


def test_a_killed_process_leaves_no_file_under_the_final_name(tmp_path, request_row):
    path = tmp_path / "part.arrows"
    program = f"""
        import os, signal
        from simulator.trace.schema import REQUESTS
        from simulator.trace.writer import TraceWriter
        with TraceWriter({str(path)!r}, REQUESTS, {{}}, {RUN!r}) as writer:
            writer.rows.extend([{request_row(0, 0.0, 1.0, 2.0)!r}] * 10)
            writer.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -9
    assert os.listdir(tmp_path) == ["part.arrows.incomplete"]


def test_an_error_in_the_last_flush_leaves_no_complete_file(tmp_path):
    path = tmp_path / "part.arrows"

    def run():
        with TraceWriter(path, REQUESTS, {}, RUN) as writer:
            writer.rows.append((1, 2, 3))

    with pytest.raises(InvariantError, match="3 values for the columns request_id"):
        run()
    assert os.listdir(tmp_path) == ["part.arrows.incomplete"]


def test_a_failed_rename_leaves_the_partial_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)

    def run():
        with TraceWriter(tmp_path / "part.arrows", REQUESTS, {}, RUN):
            pass

    with pytest.raises(ConfigError, match="No space left on device"):
        run()
    assert os.listdir(tmp_path) == ["part.arrows.incomplete"]


def test_closing_or_abandoning_twice_is_harmless(tmp_path):
    writer = TraceWriter(tmp_path / "part.arrows", REQUESTS, {}, RUN)
    writer.close()
    writer.close()
    writer.abandon()
    assert os.listdir(tmp_path) == ["part.arrows"]


def test_a_new_run_replaces_the_old_trace(tmp_path, request_row):
    path = tmp_path / "part.arrows"
    for size in (1, 2):
        with TraceWriter(path, REQUESTS, {}, RUN) as writer:
            writer.rows.extend(request_row(i, 0.0, 1.0, 2.0) for i in range(size))
    assert read_part(path).num_rows == 2


def test_a_folder_that_cannot_be_written_is_refused_with_advice(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write the trace .*choose another folder"):
        TraceWriter(tmp_path / "file" / "part.arrows", REQUESTS, {}, RUN)


def test_missing_folders_are_made(tmp_path):
    with TraceWriter(tmp_path / "a" / "b" / "part.arrows", REQUESTS, {}, RUN) as writer:
        pass
    assert writer.path.exists()


@pytest.mark.parametrize(
    "constants", [{}, {"arm": "baseline"}, {**RUN, "gamma": 3}], ids=["none", "one", "other"]
)
def test_the_constants_are_exactly_arm_and_replication(tmp_path, constants):
    with pytest.raises(InvariantError, match="constants"):
        TraceWriter(tmp_path / "part.arrows", REQUESTS, {}, constants)


@pytest.mark.parametrize(
    ("column", "value"), [("replica", 2**15), ("request_id", "x"), ("prompt_tokens", math.nan)]
)
def test_a_value_that_does_not_fit_names_its_column(tmp_path, request_row, column, value):
    writer = TraceWriter(tmp_path / "part.arrows", REQUESTS, {}, RUN)
    row = list(request_row(0, 0.0, 1.0, 2.0))
    row[request_column(column)] = value
    writer.rows.append(tuple(row))
    with pytest.raises(InvariantError, match=rf"trace column {column} \(int"):
        writer.flush()
    writer.abandon()


def test_rows_of_different_lengths_are_refused(tmp_path, request_row):
    writer = TraceWriter(tmp_path / "part.arrows", REQUESTS, {}, RUN)
    row = request_row(0, 0.0, 1.0, 2.0)
    writer.rows.extend([row, row[:-1]])
    with pytest.raises(InvariantError, match="different lengths"):
        writer.flush()
    writer.abandon()


def test_numpy_scalars_are_taken_as_they_are(tmp_path):
    path = tmp_path / "part.arrows"
    with TraceWriter(path, ITERATIONS, {}, RUN) as writer:
        writer.rows.append(
            (np.int16(1), 2, np.float64(3.5), 0.5, np.int64(4), 5, 0, 7, 8, 9, np.float32(1.5), 0)
        )
    row = read_part(path).to_pylist()[0]
    assert (row["start_s"], row["decode_requests"], row["active_experts"]) == (3.5, 4, 1.5)
