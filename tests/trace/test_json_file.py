import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.trace.json_file import json_safe, write_json

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(TREES)
def test_whatever_goes_in_comes_out_as_strict_json(tree):
    text = json.dumps(json_safe(tree), allow_nan=False)
    assert json.loads(text) == json_safe(tree)


def test_numbers_of_numpy_become_plain_and_what_is_not_finite_null():
    found = json_safe(
        {
            "count": np.int64(3),
            "share": np.float32(0.5),
            "flag": np.bool_(True),
            "series": np.array([1.0, math.inf]),
            "bad": math.nan,
            "path": Path("a") / "b",
            3: (1,),
        }
    )
    assert found == {
        "count": 3,
        "share": 0.5,
        "flag": True,
        "series": [1.0, None],
        "bad": None,
        "path": os.path.join("a", "b"),
        "3": [1],
    }
    assert type(found["count"]) is int
    assert type(found["flag"]) is bool


def test_the_file_appears_whole(tmp_path):
    path = write_json(tmp_path / "runs" / "summary.json", {"value": 1.5, "unit": "µs"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"value": 1.5, "unit": "µs"}
    assert os.listdir(path.parent) == ["summary.json"]


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_json(tmp_path / "summary.json", {"value": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        write_json(path, {"value": 2})
    assert json.loads(path.read_text()) == {"value": 1}


def test_an_unwritable_folder_is_refused_with_advice(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .*choose another"):
        write_json(tmp_path / "file" / "summary.json", {})
