import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.errors import ConfigError, DataError, InvariantError
from simulator.trace import merge as merge_room
from simulator.trace.merge import merge
from simulator.trace.read import notes
from simulator.trace.schema import ITERATIONS, REQUESTS
from simulator.trace.writer import TraceWriter


@pytest.fixture
def part(tmp_path, request_row):
    def make(arm, replication, blocks):
        path = tmp_path / f"{arm}-{replication}.arrows"
        constants = {"arm": arm, "replication": replication}
        with TraceWriter(path, REQUESTS, {"seed": "7"}, constants) as writer:
            for size in blocks:
                first = writer.rows_written
                writer.rows.extend(request_row(first + i, 0.0, 1.0, 2.0) for i in range(size))
                writer.flush()
        return path

    return make


def _group_rows(path):
    metadata = pq.ParquetFile(path).metadata
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def test_rows_keep_the_order_of_the_parts(part, tmp_path):
    parts = [part("speculative", 0, [2]), part("baseline", 0, [3]), part("baseline", 1, [1])]
    rows = pq.read_table(merge(parts, tmp_path / "all.parquet", {})).to_pylist()
    assert [(row["arm"], row["replication"], row["request_id"]) for row in rows] == [
        ("speculative", 0, 0),
        ("speculative", 0, 1),
        ("baseline", 0, 0),
        ("baseline", 0, 1),
        ("baseline", 0, 2),
        ("baseline", 1, 0),
    ]


def test_row_groups_are_full_and_never_span_parts(part, tmp_path, monkeypatch):
    monkeypatch.setattr(merge_room, "ROW_GROUP_ROWS", 10)
    parts = [part("baseline", 0, [4, 4, 4, 30]), part("speculative", 0, [10, 10])]
    path = merge(parts, tmp_path / "all.parquet", {})
    assert _group_rows(path) == [10, 10, 10, 10, 2, 10, 10]
    groups = pq.ParquetFile(path).metadata
    for index in range(groups.num_row_groups):
        statistics = groups.row_group(index).column(0).statistics
        assert statistics.min == statistics.max


def test_only_the_names_are_dictionary_encoded(part, tmp_path):
    path = merge([part("baseline", 0, [1])], tmp_path / "all.parquet", {})
    group = pq.ParquetFile(path).metadata.row_group(0)
    for index in range(group.num_columns):
        column = group.column(index)
        assert column.compression == "ZSTD"
        assert column.has_dictionary_page == (column.path_in_schema in ("arm", "outcome"))


def test_groups_and_rows_do_not_depend_on_how_the_parts_were_flushed(part, tmp_path, monkeypatch):
    monkeypatch.setattr(merge_room, "ROW_GROUP_ROWS", 8)
    files = []
    for name, blocks in (("one", [21]), ("many", [1, 9, 2, 9])):
        files.append(merge([part("baseline", 0, blocks)], tmp_path / f"{name}.parquet", {}))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_merged_file_has_its_own_notes_and_the_units(part, tmp_path):
    path = merge([part("baseline", 0, [1])], tmp_path / "all.parquet", {"config": "{}"})
    with pq.ParquetFile(path) as file:
        found = notes(file)
        assert found["config"] == "{}"
        assert found["complete"] == "true"
        assert "arm" not in found
        assert file.schema_arrow.field("finish_s").metadata[b"unit"] == b"s"
        assert file.schema_arrow.equals(REQUESTS)


def test_parts_are_deleted_and_nothing_else_is_left(part, tmp_path):
    merge([part("baseline", 0, [1]), part("speculative", 0, [1])], tmp_path / "all.parquet", {})
    assert os.listdir(tmp_path) == ["all.parquet"]


def test_empty_parts_make_an_empty_table(part, tmp_path):
    path = merge([part("baseline", 0, []), part("speculative", 0, [])], tmp_path / "a.parquet", {})
    assert pq.read_table(path).num_rows == 0


def test_a_missing_part_leaves_the_others_and_no_file(part, tmp_path):
    good = part("baseline", 0, [1])
    with pytest.raises(DataError, match=r"no part .*cut off leaves gone.arrows.incomplete"):
        merge([good, tmp_path / "gone.arrows"], tmp_path / "all.parquet", {})
    assert sorted(os.listdir(tmp_path)) == ["all.parquet.incomplete", "baseline-0.arrows"]


def test_parts_of_different_tables_are_refused(part, tmp_path):
    other = tmp_path / "iterations.arrows"
    with TraceWriter(other, ITERATIONS, {}, {"arm": "baseline", "replication": 0}):
        pass
    with pytest.raises(DataError, match="holds the table iterations, not requests"):
        merge([part("baseline", 0, [1]), other], tmp_path / "all.parquet", {})


def test_no_parts_or_a_part_as_destination_is_a_bug(part, tmp_path):
    with pytest.raises(InvariantError, match="cannot merge"):
        merge([], tmp_path / "all.parquet", {})
    path = part("baseline", 0, [1])
    with pytest.raises(InvariantError, match="cannot merge"):
        merge([path], path, {})


def test_an_unwritable_destination_is_refused(part, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the trace"):
        merge([part("baseline", 0, [1])], tmp_path / "file" / "all.parquet", {})


def test_memory_is_bounded_by_the_row_group(part, tmp_path, monkeypatch):
    monkeypatch.setattr(merge_room, "ROW_GROUP_ROWS", 1000)
    parts = [part("baseline", 0, [1000] * 40)]
    pool = pa.default_memory_pool()
    before, peaks = pool.bytes_allocated(), []
    original = merge_room.ParquetStream.write

    def spy(stream, rows):
        original(stream, rows)
        peaks.append(pool.bytes_allocated() - before)

    monkeypatch.setattr(merge_room.ParquetStream, "write", spy)
    merge(parts, tmp_path / "all.parquet", {})
    assert len(peaks) == 40
    assert max(peaks[20:]) < 1.5 * max(peaks[:20])
