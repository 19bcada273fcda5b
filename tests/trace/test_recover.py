"""What is left of a run that was cut off."""

import pyarrow.parquet as pq
import pytest

from simulator.errors import ConfigError, DataError
from simulator.trace import merge as merge_room
from simulator.trace.read import Run, notes, open_trace
from simulator.trace.recover import PARTS, recover
from simulator.trace.schema import TABLES, row_columns
from simulator.trace.writer import TraceWriter


@pytest.fixture
def leave(tmp_path):
    """Leave a part with blocks of given sizes in the folder of a run."""

    def make(table, arm, replication, sizes, *, whole=False):
        schema = TABLES[table]
        path = tmp_path / PARTS / f"{table}-{arm}-{replication:04d}.arrows"
        constants = {"arm": arm, "replication": replication}
        writer = TraceWriter(path, schema, {"seed": "7", "config": "{}"}, constants)
        for size in sizes:
            writer.rows.extend([(0,) * len(row_columns(schema))] * size)
            writer.flush()
        if whole:
            writer.close()
        else:
            writer.abandon()
        return path

    return make


def counts(path):
    rows = pq.read_table(path, columns=["arm", "replication"]).to_pylist()
    runs = [(row["arm"], row["replication"]) for row in rows]
    return {run: runs.count(run) for run in dict.fromkeys(runs)}


def test_whole_blocks_of_every_run_are_joined_in_the_order_of_a_trace(leave, tmp_path):
    leave("requests", "speculative", 0, [4], whole=True)
    leave("requests", "baseline", 0, [3, 3], whole=True)
    leave("requests", "baseline", 1, [2])
    leave("iterations", "baseline", 0, [9])
    requests, iterations = recover(tmp_path)
    assert requests.path == tmp_path / "requests.recovered.parquet"
    assert list(counts(requests.path).items()) == [
        (("baseline", 0), 6),
        (("speculative", 0), 4),
        (("baseline", 1), 2),
    ]
    assert requests.rows == 12
    assert requests.whole == [Run("baseline", 0), Run("speculative", 0)]
    assert requests.cut_off == [Run("baseline", 1)]
    assert iterations.rows == 9
    assert recover(tmp_path)[0].rows == 12  # the parts stayed


def test_a_recovered_file_says_that_it_is_incomplete(leave, tmp_path):
    leave("requests", "baseline", 2, [1])
    (table,) = recover(tmp_path)
    with pq.ParquetFile(table.path) as file:
        found = notes(file)
        assert file.schema_arrow.field("arrival_s").metadata[b"unit"] == b"s"
    assert found["complete"] == "false"
    assert found["seed"] == "7"
    assert "arm" not in found
    with pytest.raises(DataError, match="is incomplete: its run was cut off"):
        open_trace(table.path, "requests")


def test_what_was_cut_off_before_its_first_block_counts_for_nothing(leave, tmp_path):
    leave("requests", "baseline", 0, [])
    torn = leave("requests", "speculative", 0, [])
    torn.with_name(torn.name + ".incomplete").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match="nothing to recover in"):
        recover(tmp_path)


def test_row_groups_are_those_of_a_whole_trace(leave, tmp_path, monkeypatch):
    monkeypatch.setattr(merge_room, "ROW_GROUP_ROWS", 10)
    leave("iterations", "baseline", 0, [4, 4, 4, 13])
    (table,) = recover(tmp_path)
    metadata = pq.read_metadata(table.path)
    sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert sizes == [10, 10, 5]


def test_an_unwritable_folder_is_refused_and_nothing_stands_as_a_result(leave, tmp_path):
    leave("requests", "baseline", 0, [1])
    (tmp_path / "requests.recovered.parquet").mkdir()
    with pytest.raises(ConfigError, match="cannot write the trace"):
        recover(tmp_path)


def test_the_command_names_the_files(leave, tmp_path, capsys):
    from simulator.commands.recover import main

    leave("requests", "baseline", 0, [3], whole=True)
    leave("requests", "speculative", 0, [2])
    assert main([str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert f"{tmp_path / 'requests.recovered.parquet'}: 5 rows of 1 whole runs, 1 cut off" in shown


def test_a_folder_that_is_not_there_is_said_not_to_be(tmp_path):
    with pytest.raises(DataError, match="nowhere' is no folder; give that of a run"):
        recover(tmp_path / "nowhere")
