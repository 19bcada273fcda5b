"""Recorded rounds: files that are not trusted, and what is drawn from them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.errors import ConfigError, DataError
from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.recorded import read_recorded

ROWS = "request,round,accepted\n4,1,3\n4,2,0\n9,2,1\n9,1,2\n9,3,1\n"
RECORDED = {(3, 0), (2, 1, 1)}


def written(folder, text, name="accepted.csv"):
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(file)


def table(folder, columns, name="accepted.parquet"):
    pq.write_table(pa.table(columns), folder / name)
    return str(folder / name)


def columns(**changes):
    values = {"request": [4, 4, 9, 9, 9], "round": [1, 2, 2, 1, 3], "accepted": [3, 0, 1, 2, 1]}
    return values | changes


def test_each_request_follows_a_recorded_one_over_and_over(tmp_path):
    model = read_recorded(written(tmp_path, ROWS), 3)
    runs = model.draw(np.full(200, 7), 3, np.random.default_rng(1)).reshape(200, 7)
    followed = {tuple((request * 7)[:7]) for request in RECORDED}
    assert {tuple(row) for row in runs.tolist()} == followed
    shares = (runs[:, 0] == 3).mean()
    assert shares == pytest.approx(0.5, abs=0.12)


def test_parquet_says_the_same_as_csv(tmp_path):
    text, parquet = read_recorded(written(tmp_path, ROWS), 3), table(tmp_path, columns())
    lengths = np.array([5, 1, 30])
    drawn = [
        model.draw(lengths, 3, np.random.default_rng(6)).tolist()
        for model in (text, read_recorded(parquet, 3))
    ]
    assert drawn[0] == drawn[1]


def test_other_columns_of_a_parquet_file_are_left_alone(tmp_path):
    path = table(tmp_path, columns(task=["a"] * 5, accepted=pa.array([3, 0, 1, 2, 1], pa.uint8())))
    assert read_recorded(path, 3).longest == 3


def test_the_kind_builds_from_settings(tmp_path):
    settings = SpeculationConfig(acceptance="recorded", path=written(tmp_path, ROWS), gamma=2)
    built = ACCEPTANCE.get("recorded")(settings)
    # Requests take (1 + 2 + 1 + 0) / 2 and (3 + 2 + 2) / 3 tokens a round.
    assert built.tokens_per_round(2) == pytest.approx(2 / (1 / 2 + 3 / 7))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the header is '' instead of 'request,round,accepted'"),
        ("a,b,c\n1,1,1\n", "line 1: the header is 'a,b,c'"),
        ("request,round,accepted\n", "line 2: no round after the header"),
        (ROWS + "9,4\n", r"line 7: 2 fields \['9', '4'\] instead of 3"),
        (ROWS + "9,4,-1\n", "line 7: accepted is '-1', not a count"),
        (ROWS + "9,4,1.0\n", "line 7: accepted is '1.0', not a count"),
        (ROWS + "9,x,1\n", "line 7: round is 'x', not a count"),
        (ROWS + "9,4,\u0663\n", "line 7: accepted is '\u0663', not a count"),
        (ROWS + "9,4," + "9" * 400 + "\n", "line 7: accepted is '9{40}', not a count"),
        (ROWS + "9,4,65\n", "line 7: accepted is 65; a round has 0 to 64 accepted tokens"),
        (ROWS + "9,2,1\n", "line 7: round 2 of request 9 is given twice"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_malformed_files_name_the_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_recorded(written(tmp_path, text), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accepted": [3.0, 0.0, 1.0, 2.0, 1.0]}, "column 'accepted' is of double, not of integer"),
        ({"accepted": [3, 0, None, 2, 1]}, "row 3: accepted is missing"),
        ({"accepted": [3, 0, 1, -2, 1]}, "row 4: accepted is -2"),
        ({"round": [1, 1, 2, 1, 3]}, "row 2: round 1 of request 4 is given twice"),
    ],
)
def test_malformed_tables_name_the_row(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_recorded(table(tmp_path, columns(**changes)), 1)


def test_a_table_without_a_column_names_those_it_has(tmp_path):
    with pytest.raises(DataError, match=r"lacks the column 'round'.* has request, accepted"):
        read_recorded(table(tmp_path, {"request": [1], "accepted": [1]}), 1)


def test_what_is_no_parquet_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_recorded(written(tmp_path, ROWS, "accepted.parquet"), 1)


def test_a_missing_file_names_the_nearest(tmp_path):
    written(tmp_path, ROWS)
    with pytest.raises(DataError, match=r"is not a file. Did you mean .*accepted.csv"):
        read_recorded(str(tmp_path / "acepted.csv"), 1)
    with pytest.raises(DataError, match="is not a file"):
        read_recorded(str(tmp_path / "nowhere" / "a.csv"), 1)
    for impossible in ("~nobody-of-this-name/a.csv", "a" * 5000, "a\0b"):
        with pytest.raises(DataError, match=r"cannot be opened|is not a file"):
            read_recorded(impossible, 1)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"is not a file\.$"):
        read_recorded(str(tmp_path / "folder.csv"), 1)


def test_drafts_longer_than_any_recorded_run_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"gamma=4 exceeds the longest run .* 3 tokens"):
        read_recorded(written(tmp_path, ROWS), 4)
