"""Rows of measured data: what is read, and that every refusal names file and line."""

import pytest

from simulator.errors import DataError
from simulator.study.csv_rows import ABSENT, read_lines, require


@pytest.fixture
def read(tmp_path):
    def _read(text):
        path = tmp_path / "my.csv"
        path.write_text(text, encoding="utf-8")
        return read_lines(path, what="rows")

    return _read


def test_lines_keep_their_number_past_empty_ones(read):
    first, second = read("a , b\n1, x \n\n,\n2,y\n")
    assert (first.number, first.text("a"), first.text("b")) == (2, "1", "x")
    assert (second.number, second.number_of("a"), second.text("none")) == (5, 2.0, "")


@pytest.mark.parametrize("text", sorted(ABSENT))
def test_absent_figures_are_none_where_that_is_allowed(read, text):
    (line,) = read(f"a,b\n{text},1\n")
    assert line.number_of("a") is None
    assert line.count("a", 1) is None
    with pytest.raises(DataError, match=r"my\.csv, line 2: a is '.*', no (finite )?number"):
        line.finite("a")


@pytest.mark.parametrize(("column", "scale"), [("t_s", 1.0), ("t_ms", 1e-3), ("t_us", 1e-6)])
def test_times_are_seconds_whatever_their_column_says(read, column, scale):
    assert read(f"{column},x\n4,1\n")[0].seconds("t") == pytest.approx(4 * scale)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"my\.csv: empty; expected a header and rows"),
        ("a,b,a\n1,2,3\n", r"my\.csv, line 1: has the column 'a' twice; keep one"),
        ("a,b\n1,2\n1\n", r"my\.csv, line 3: 1 fields, but the header has 2; leave fields empty"),
        ('a,b\n"1" 2,3\n', r"my\.csv is no CSV file in UTF-8"),
    ],
)
def test_malformed_files_are_refused(read, text, said):
    with pytest.raises(DataError, match=said):
        read(text)


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match=r"rows\.csv is no CSV file in UTF-8"):
        read_lines(tmp_path / "rows.csv", what="rows")
    with pytest.raises(DataError, match=r"rows '.*row\.csv' not found\. Did you mean '.*rows\.csv"):
        read_lines(tmp_path / "row.csv", what="rows")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_lines(tmp_path, what="rows")


def test_a_lacking_column_names_the_one_that_looks_like_it(read):
    (line,) = read("batches,b\n1,2\n")
    require(line, [("a", "b")])
    with pytest.raises(DataError, match=r"lacks the column batch \(is 'batches' that\?\)"):
        require(line, [("batch",), ("b",)])
