"""The dataset of a sweep: whole files, one schema, values that survive the names of folders."""

from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from simulator.errors import ConfigError
from simulator.study.sweep import dataset
from simulator.study.sweep.dataset import common_columns, conform, row_table, write_row
from simulator.study.sweep.layout import label_of, partition
from simulator.study.sweep.reading import SWEEP, read_points
from simulator.trace.json_file import write_json

ROW = {"point": "p", "status": "done", "speedup.tpot_p50.value": 1.5, "completed": 3}
AXES = {
    "workload.path": ["a/b.csv", "../x.y=1", "[1,2]", " 50 % ü", "{a: '1'}", "plain"],
    "speculation.gamma": [None, 2, 3_000_000_000],
    "rate": [0.5, 2],
}


def write(file, **row):
    write_row(file, row_table(ROW | row, {"config": "{}"}))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep whose files repeat the values of their axes as columns of other names."""
    root = tmp_path_factory.mktemp("sweep")
    write_json(root / SWEEP, {"axes": AXES})
    for path, gamma, rate in product(*AXES.values()):
        where = partition(dict(zip(AXES, (path, gamma, rate), strict=True)))
        write(
            root / "points" / where / "p.parquet",
            path=path,
            gamma=gamma,
            rate_text=str(rate),
            none=None,
        )
    files = list((root / "points").rglob("*.parquet"))
    columns = common_columns(files)
    for file in files:
        conform(file, columns)
    return root


def test_pyarrow_reads_axes_from_the_names_of_folders(folder):
    rows = ds.dataset(folder / "points", partitioning="hive").to_table().to_pylist()
    assert len(rows) == 36
    assert all(row["workload.path"] == row["path"] for row in rows)
    assert all(row["rate"] == row["rate_text"] for row in rows)
    assert {row["speculation.gamma"] for row in rows} == {None, "2", "3000000000"}


def test_duckdb_reads_them(folder):
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    found = duckdb.sql(
        'select "workload.path" = path, "speculation.gamma" is not distinct from gamma, '
        "rate = rate_text, none is null from "
        f"read_parquet('{folder}/points/**/*.parquet', hive_partitioning=true)"
    ).fetchall()
    assert len(found) == 36
    assert all(all(row) for row in found)


def test_polars_reads_them(folder):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    found = polars.read_parquet(folder / "points", hive_partitioning=True)
    assert found.height == 36
    assert (found["workload.path"] == found["path"]).all()
    assert found["speculation.gamma"].equals(found["gamma"], null_equal=True)
    assert (found["rate"] == found["rate_text"].cast(float)).all()
    assert found["none"].null_count() == 36


def test_we_read_them_in_the_order_of_the_grid_with_numbers_as_numbers(folder):
    found = read_points(folder, ["completed", "no_such_figure"])
    assert found.column_names == [*AXES, "point", "status", "reason", "completed"]
    rows = [tuple(row[axis] for axis in AXES) for row in found.to_pylist()]
    assert rows == list(product(*AXES.values()))


def test_a_folder_that_is_no_sweep_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is not the folder of a sweep: it has no sweep\.json"):
        read_points(tmp_path)


def test_all_files_end_with_the_same_columns_whatever_they_had(tmp_path):
    rows = [
        {"status": "failed", "reason": "too large"},
        {"share": 1, "late": None},
        {"share": 0.5, "extra": True, "note": "x"},
    ]
    files = [write(tmp_path / f"{number}.parquet", **row) for number, row in enumerate(rows)]
    columns = common_columns(files)
    for file in files:
        conform(file, columns)
    schemas = [pq.read_schema(file) for file in files]
    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert schemas[1].equals(schemas[2])
    assert schemas[0].metadata[b"moesim.config"] == b"{}"
    assert schemas[0].field("share").type == pa.float64()
    found = pa.concat_tables(map(pq.read_table, files)).to_pylist()
    assert [row["share"] for row in found] == [None, 1.0, 0.5]
    assert [row["reason"] for row in found] == ["too large", None, None]
    # Whoever comes later finds nothing to do.
    times = [file.stat().st_mtime_ns for file in files]
    for file in files:
        conform(file, common_columns(files))
    assert [file.stat().st_mtime_ns for file in files] == times


def test_columns_that_cannot_agree_are_texts(tmp_path):
    files = [write(tmp_path / "a.parquet", x=1), write(tmp_path / "b.parquet", x="one")]
    columns = common_columns(files)
    for file in files:
        conform(file, columns)
    assert [pq.read_table(file)["x"].to_pylist() for file in files] == [["1"], ["one"]]


def test_a_write_that_is_cut_off_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = write(tmp_path / "p.parquet", x=1)
    before = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "p.parquet", x=2)
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "torn.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"torn\.parquet' cannot be read: .* Remove it and"):
        common_columns([path])


def test_a_value_too_long_for_a_folder_is_refused():
    with pytest.raises(ConfigError, match="too long for the name of a folder"):
        partition({"workload.path": "x" * 250})


@pytest.mark.parametrize("value", [None, True, 1, 0.1, "a b", [1, "x"], {"a": [None]}])
def test_labels_are_words_of_hydra(value):
    from simulator.study.sweep.grid import value_of

    quoted = f"'{value}'" if isinstance(value, str) else label_of(value)
    assert value_of("a", quoted) == value


def test_folders_of_axes_stay_in_the_order_of_the_words():
    assert partition({"b": 1, "a": 2}) == Path("b=1/a=2")
