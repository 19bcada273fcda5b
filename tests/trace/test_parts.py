"""Parts of a trace: readable up to the last whole block, wherever they were cut off."""

import os
from contextlib import suppress

import pytest

from simulator.errors import ConfigError, DataError
from simulator.trace.files import partial_path
from simulator.trace.parts import open_part
from simulator.trace.schema import ITERATIONS, REQUESTS, row_columns, with_notes
from simulator.trace.writer import TraceWriter

RUN = {"arm": "speculative", "replication": 3}
BLOCKS = (5, 1, 7)


def row(number, schema=ITERATIONS):
    """A row that is told by its number, in the column before the first time."""
    values = dict.fromkeys(row_columns(schema), 0)
    return tuple((values | {"iteration": number}).values())


def write_blocks(writer, sizes=BLOCKS):
    for size in sizes:
        first = writer.rows_written
        writer.rows.extend(row(first + index) for index in range(size))
        writer.flush()


def numbers(path):
    """The numbers of the rows, block by block."""
    return [block["iteration"].to_pylist() for block in open_part(path, "iterations").blocks]


WHOLE = [list(range(5)), [5], list(range(6, 13))]


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a whole part."""
    path = tmp_path_factory.mktemp("whole") / "part.arrows"
    with TraceWriter(path, ITERATIONS, {"seed": "7"}, RUN) as writer:
        write_blocks(writer)
    assert numbers(path) == WHOLE
    return path.read_bytes()


def test_cut_off_at_any_byte_the_whole_blocks_before_it_are_read(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "part.arrows.incomplete"
    found = []
    for length in (*range(0, len(content), 23), len(content)):
        path.write_bytes(content[:length])
        with suppress(DataError):  # before its schema is out
            found.append(numbers(path))
    assert len(found) > 100
    assert all(blocks == WHOLE[: len(blocks)] for blocks in found)
    counts = [len(blocks) for blocks in found]
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3}


def test_under_its_final_name_a_part_that_lacks_anything_is_damaged(content, tmp_path):
    path = tmp_path / "part.arrows"
    for length in (*range(1, len(content), 97), len(content) - 8, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"holds no block of a trace|is damaged"):
            numbers(path)


def test_blocks_are_there_as_soon_as_they_are_flushed(tmp_path):
    path = tmp_path / "part.arrows"
    writer = TraceWriter(path, ITERATIONS, {}, RUN)
    for count in range(1, 4):
        write_blocks(writer, BLOCKS[count - 1 : count])
        assert numbers(partial_path(path)) == WHOLE[:count]
    writer.abandon()
    writer.abandon()
    assert numbers(partial_path(path)) == WHOLE
    assert os.listdir(tmp_path) == ["part.arrows.incomplete"]


def test_what_is_no_part_of_the_table_is_refused(tmp_path):
    path = tmp_path / "part.arrows"
    with pytest.raises(DataError, match=r"no part .*cut off leaves part.arrows.incomplete"):
        open_part(path)
    with TraceWriter(path, ITERATIONS, {}, RUN):
        pass
    with pytest.raises(DataError, match="holds the table iterations, not requests"):
        open_part(path, "requests")
    path.write_bytes(b"ARROW1, or so it says")
    with pytest.raises(DataError, match="holds no block of a trace"):
        open_part(path)


def test_another_schema_version_is_refused(tmp_path):
    path = tmp_path / "part.arrows"
    with TraceWriter(path, with_notes(REQUESTS, {}), {"schema_version": "999"}, RUN):
        pass
    with pytest.raises(DataError, match="has trace schema 999"):
        open_part(path)


def test_a_part_without_rows_is_whole(tmp_path):
    path = tmp_path / "part.arrows"
    with TraceWriter(path, ITERATIONS, {}, RUN):
        pass
    assert numbers(path) == []


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    writer = TraceWriter(tmp_path / "part.arrows", ITERATIONS, {}, RUN)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        writer.close()
