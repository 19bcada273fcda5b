"""The Azure reader: rows come through exactly; what is malformed is refused with its line."""

import gzip
import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from helpers.traces import read_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, DataError
from simulator.workload.readers import READERS, ReadPolicy, blocks
from simulator.workload.readers.azure import read_azure
from simulator.workload.readers.files import existing_file

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROW = "2023-11-16 18:15:46.6805900,374,44\n"


def test_rows_come_through_with_all_their_decimals(write):
    path = write(
        HEADER
        + "2023-11-16 18:15:46.6805900,374,44\n"
        + "2023-11-16 18:15:46.6805901,1,1\n"
        + "2023-11-17 00:00:00.0000000,14050,1000\n"
    )
    rows = read_rows(path)
    assert [(r.prompt_tokens, r.output_tokens) for r in rows] == [(374, 44), (1, 1), (14050, 1000)]
    assert rows[0].arrival_s == 0
    assert rows[1].arrival_s == pytest.approx(1e-7, rel=1e-6)
    assert rows[2].arrival_s == pytest.approx(5 * 3600 + 44 * 60 + 13.31941, abs=1e-9)


@pytest.mark.parametrize(
    "later",
    [
        "2024-05-10 00:00:01.5+00:00",
        "2024-05-10T00:00:01.500000000Z",
        "2024-05-10 02:00:01.5+0200",
        "2024-05-09 23:30:01.5-00:30",
    ],
)
def test_time_zones_are_understood(write, later):
    path = write(HEADER + "2024-05-10 00:00:00.009930+00:00,2162,5\n" + later + ",2,3\n")
    assert read_rows(path)[1].arrival_s == pytest.approx(1.49007)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n\n"])
def test_line_ends_byte_order_marks_and_blank_lines_do_not_matter(write, newline, start, end):
    text = (HEADER + ROW + "\n" + ROW.strip()).replace("\n", newline)
    assert len(read_rows(write(start + text.encode() + end))) == 2


def test_compressed_files_are_read(write):
    path = write(gzip.compress((HEADER + ROW).encode()), "trace.csv.gz")
    assert len(read_rows(path)) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty", "TIMESTAMP,ContextTokens,GeneratedTokens"]),
        ("\n\n", ["empty"]),
        (HEADER, ["holds no request"]),
        (ROW, ["line 1", "header is", "expects TIMESTAMP,ContextTokens,GeneratedTokens"]),
        ("TIMESTAMP,ContextToken,GeneratedTokens\n", ["rename 'ContextToken' to 'ContextTokens'"]),
        ("TIMESTAMP,ContextTokens\n" + ROW, ["'GeneratedTokens' is missing"]),
        (HEADER.strip() + ",NumImages\n" + ROW, ["line 1", "NumImages", "azure"]),
        ('{"timestamp": 0, "input_length": 5}\n', ["line 1", "JSON", "Formats known:"]),
        (HEADER + ROW + "2023-11-16 18:15:47,374\n", ["line 3", "2 fields", "instead of 3"]),
        (HEADER + ROW + ROW[:-1] + ",9\n", ["line 3", "4 fields"]),
        (HEADER + "\n\n" + "yesterday,1,1\n", ["line 4", "TIMESTAMP is 'yesterday'", "expected"]),
        (HEADER + "2023-02-30 00:00:00,1,1\n", ["line 2", "2023-02-30", "day"]),
        (HEADER + "2023-11-16 24:61:00,1,1\n", ["line 2", "24:61:00"]),
        (HEADER + ROW.replace("374", "many"), ["line 2", "ContextTokens is 'many'", "whole"]),
        (HEADER + ROW.replace("374", "3.5"), ["line 2", "'3.5'", "whole number"]),
        (HEADER + ROW.replace("374", ""), ["line 2", "ContextTokens is ''"]),
        (HEADER + ROW.replace("374", "-374"), ["line 2", "'-374'", "positive"]),
        (HEADER + ROW.replace("374", "0"), ["line 2", "'0'", "remove the row"]),
        (HEADER + ROW.replace(",44", ",0"), ["line 2", "GeneratedTokens is '0'", "remove"]),
        (HEADER + ROW.replace(",44", ",10000001"), ["line 2", "'10000001'", "so many"]),
        (HEADER + ROW.replace(",44", "," + "9" * 3000), ["line 2", "so many", "..."]),
        (HEADER + ROW.replace(",44", ",\uff14\uff14"), ["line 2", "whole number"]),
        (HEADER + ROW.replace(",44", ",1_0"), ["line 2", "whole number"]),
        (HEADER + ROW + ROW.replace("46.6", "45.6"), ["line 3", "backwards", "sort"]),
        ((HEADER + ROW).encode() + b"\xff\xfe,1,1\n", ["line 3", "not valid UTF-8"]),
        ((HEADER + ROW).replace("374", "3\x004").encode(), ["line 2", r"3\x004"]),
        (HEADER + '"' + ROW, ["line 2", "not CSV"]),
        (HEADER + ROW + "x" * 5000, ["line 3", "longer than 4096"]),
        (b"\x00" * 10_000, ["line 1", "longer than"]),
    ],
)
def test_malformed_files_are_refused_with_file_and_line(write, content, words):
    path = write(content)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 500
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "content", [b"plain text", gzip.compress((HEADER + ROW).encode(), mtime=0)[:-9]]
)
def test_broken_compression_is_refused(write, content):
    path = write(content, "trace.csv.gz")
    with pytest.raises(DataError, match="cannot be read"):
        read_rows(path)


def test_rows_are_yielded_before_a_bad_one_is_refused(write):
    blocks = read_azure(write(HEADER + ROW + "nonsense\n"), ReadPolicy())
    assert next(blocks).prompt_tokens.tolist() == [374]
    with pytest.raises(DataError, match="line 3"):
        next(blocks)


def test_an_existing_file_is_found(write):
    path = write(HEADER)
    assert existing_file(str(path)) == path


def test_a_missing_file_suggests_its_nearest_neighbour(write, tmp_path):
    path = write(HEADER, "azure_conv.csv")
    with pytest.raises(DataError, match="not found") as caught:
        existing_file(str(tmp_path / "azur_conv.csv"))
    assert f"Did you mean {str(path)!r}?" in str(caught.value)
    with pytest.raises(DataError, match=r"not found\.$"):
        existing_file(str(tmp_path / "z"))


def test_paths_that_are_no_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        existing_file(str(tmp_path))
    with pytest.raises(DataError, match="there is no folder"):
        existing_file(str(tmp_path / "no" / "trace.csv"))
    with pytest.raises(DataError, match="cannot be opened"):
        existing_file(str(tmp_path / ("x" * 5000)))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        existing_file(str(tmp_path / "pipe"))
    with pytest.raises(DataError):
        existing_file("nul\0byte.csv")


def test_formats_come_from_the_registry():
    assert READERS.get("azure") is read_azure
    with pytest.raises(ConfigError, match="Did you mean 'azure'"):
        READERS.get("azur")


def read_bytes(content, name="trace.csv"):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return read_rows(path)


FIELD = st.sampled_from(
    ["2023-11-16 18:15:46.68", "2023-11-16 18:15:45", "0001-01-01 00:00:00", "7", "0", "-1", '"',
     "9999-12-31 23:59:59.999999999Z", "", "\x00", "\udcff", "1e3", "10000001", "nan", "é", "²"]
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.lists(FIELD, max_size=4).map(",".join), max_size=4))
def test_nearly_valid_files_are_read_alike_in_columns_and_row_by_row(lines):
    """In columns where all is plain, else row by row: the file decides, not the result."""
    content = (HEADER + "\n".join(lines)).encode(errors="surrogateescape")

    def read():
        try:
            return read_bytes(content)
        except DataError as error:
            return str(error).partition("trace.csv")[2]

    at_once = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks.LinePiece, "columns", lambda self: None)
        assert read() == at_once


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(1, 10**7), st.integers(1, 10**7)),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_is_written_is_read_back(rows):
    rows = sorted(rows)
    start = datetime(2023, 11, 16)
    lines = [f"{start + timedelta(microseconds=us)}0,{p},{o}\n" for us, p, o in rows]
    lines = [line.replace("0,", ".0000000,", 1) if "." not in line else line for line in lines]
    read = read_bytes((HEADER + "".join(lines)).encode())
    assert [(r.prompt_tokens, r.output_tokens) for r in read] == [(p, o) for _, p, o in rows]
    expected = [(us - rows[0][0]) * 1e-6 for us, _, _ in rows]
    assert [r.arrival_s for r in read] == pytest.approx(expected, abs=1e-9)
