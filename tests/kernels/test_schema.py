import numpy as np
import pyarrow.parquet as pq
import pytest

from simulator.errors import TableError
from simulator.kernels.schema import OPERATORS, content_hash, read_table, to_rows, write_table

PROVENANCE = {"package": "somewhere", "version": "1"}


@pytest.fixture
def rows(rows_of):
    return rows_of(
        gpus=[8, 2, 2],
        message=[512, 512, 256],
        seconds=[3e-6, 2e-6, 1e-6],
        backend=["b", "a", "a"],
        kernel_source="graph",
    )


@pytest.fixture
def path(tmp_path, rows):
    path = tmp_path / "all_reduce.parquet"
    write_table(path, OPERATORS["all_reduce"], rows, PROVENANCE)
    return path


def test_rows_come_back_sorted(path):
    back = to_rows(pq.read_table(path))
    assert back["gpus"].tolist() == [2, 2, 8]
    assert back["message"].tolist() == [256, 512, 512]
    assert back["backend"].tolist() == ["a", "a", "b"]
    np.testing.assert_allclose(back["seconds"], [1e-6, 2e-6, 3e-6], rtol=1e-6)


def test_every_field_states_its_unit_or_meaning_and_the_file_its_origin(path):
    schema = pq.read_schema(path)
    for field in schema:
        assert field.metadata.keys() & {b"unit", b"meaning"}, field.name
    assert schema.field("seconds").metadata[b"unit"] == b"s"
    assert schema.field("message").metadata[b"unit"] == b"byte"
    assert schema.metadata[b"package"] == b"somewhere"


def test_every_row_keeps_backend_version_and_kernel(path):
    assert {"backend", "version", "kernel_source"} <= set(pq.read_schema(path).names)


def test_the_hash_is_of_content_not_of_bytes(path, tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(path), other, compression="none", use_dictionary=False)
    assert path.read_bytes() != other.read_bytes()
    assert content_hash(path) == content_hash(other)


@pytest.mark.parametrize("column", ["seconds", "message", "backend"])
def test_the_hash_changes_with_any_value(path, tmp_path, rows, column):
    changed = {name: values.copy() for name, values in rows.items()}
    changed[column][0] = "c" if column == "backend" else changed[column][0] * 2
    other = tmp_path / "other.parquet"
    write_table(other, OPERATORS["all_reduce"], changed, PROVENANCE)
    assert content_hash(path) != content_hash(other)


def test_the_hash_knows_column_names(path, tmp_path):
    table = pq.read_table(path)
    other = tmp_path / "other.parquet"
    pq.write_table(table.rename_columns(["x", *table.column_names[1:]]), other)
    assert content_hash(path) != content_hash(other)


def test_plain_text_columns_read_like_encoded_ones(path, tmp_path):
    table = pq.read_table(path)
    index = table.column_names.index("backend")
    plain = table.set_column(index, "backend", table["backend"].cast("string"))
    other = tmp_path / "plain.parquet"
    pq.write_table(plain, other)
    assert to_rows(pq.read_table(other))["backend"].tolist() == ["a", "a", "b"]


def test_unknown_gpu_is_refused_with_the_nearest_name():
    with pytest.raises(TableError, match="Did you mean 'h100_sxm'"):
        read_table("h100", "vllm", "gemm")


def test_an_operator_that_was_not_measured_reads_as_none():
    assert read_table("a100_sxm", "vllm", "all_to_all") is None


def test_only_the_columns_asked_for_are_read():
    rows = read_table("a100_sxm", "vllm", "all_reduce", ["gpus", "seconds"])
    assert list(rows) == ["gpus", "seconds"]
