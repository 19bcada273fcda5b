"""The file of a belief table: read back as it was, and refused where anything is wrong."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DataError
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.served import ServedTable, read_served
from simulator.speculation.control.table import BeliefTable


def table():
    model = Pomdp(
        [[[0.9, 0.1], [0.2, 0.8]]] * 2, [[0.7, 0.3], [0.1, 0.9]], [1.0, 0.0], [0.25, 0.75]
    )
    chosen = BeliefTable(BeliefGrid(2, 4), [0, 0, 1, 1, 1])
    return ServedTable(model, chosen, (1, 3), 30.0, (0.5,), (), {"learner": "mixed"})


CONTENT = json.loads(json.dumps(table().as_json()))


def changed(*path, value):
    """The content with one thing replaced."""
    content = json.loads(json.dumps(CONTENT))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


def write(tmp_path, content):
    file = tmp_path / "table.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_it_reads_back_as_it_was(tmp_path):
    found = read_served(write(tmp_path, CONTENT))
    assert found.as_json() == CONTENT
    assert found.table.act(np.array([[0.9, 0.1], [0.1, 0.9]])).tolist() == [1, 0]


def test_observations_are_acceptance_by_backlog():
    model = Pomdp([[[1.0]]], [[0.25] * 4], [0.0] * 4)
    found = ServedTable(model, BeliefTable(BeliefGrid(1, 1), [0]), (2,), 1.0, (0.5,), (8,))
    cases = [(0.4, 8), (0.5, 8), (0.4, 9), (0.9, 99), (None, 9)]
    shown = [found.observations(acceptance, requests) for acceptance, requests in cases]
    assert shown == [[0], [2], [1], [3], [1, 3]]


WRONG = {
    "no JSON": ("{", "no JSON file"),
    "no number": ('{"format": NaN}', "no finite number"),
    "deep": ("[" * 100_000, "no JSON file"),
    "a list": ([], "must be an object"),
    "another format": (changed("format", value="pickle"), "format 'pickle'"),
    "another version": (changed("version", value=2), "version 2"),
    "a stray key": (changed("sheets", value=1), "unknown key 'sheets'"),
    "ragged": (changed("model", "observations", value=[[1.0], [0.5, 0.5]]), "equal length"),
    "a text": (changed("model", "rewards", value=["1.0", 0.0]), "'1.0', no number"),
    "a truth": (changed("model", "rewards", value=[True, 0.0]), "True, no number"),
    "no distribution": (changed("model", "start", value=[0.5, 0.6]), "must be distributions"),
    "negative": (changed("model", "start", value=[1.5, -0.5]), "must be distributions"),
    "too large": (changed("model", "rewards", value=[10**400, 0.0]), "equal length|finite"),
    "states": (changed("model", "start", value=[1.0]), "must have shape"),
    "gammas": (changed("gammas", value=[1]), "as many as the model has actions"),
    "a long draft": (changed("gammas", value=[1, 999]), "gamma 999 must lie in 0..64"),
    "half a token": (changed("gammas", value=[1, 1.5]), "1.5; it must be an integer"),
    "no time": (changed("interval_s", value=0), "must be a time above 0"),
    "edges": (changed("acceptance_edges", value=[0.9, 0.1]), "must rise"),
    "buckets": (changed("backlog_edges", value=[4]), "make 4 observations; the model has 2"),
    "short": (changed("actions", value=[0]), "needs one action"),
    "no action": (changed("actions", value=[0, 0, 0, 0, 7]), "names action 7 of 2"),
    "a huge grid": (changed("divisions", value=2**30), "out of range"),
    "about": (changed("about", value=3), "about must be an object"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_with_the_reason(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_served(write(tmp_path, content))


def test_what_lacks_a_key_or_is_not_there_is_refused(tmp_path):
    content = {key: value for key, value in CONTENT.items() if key != "actions"}
    with pytest.raises(DataError, match="lacks actions"):
        read_served(write(tmp_path, content))
    with pytest.raises(DataError, match="cannot read"):
        read_served(tmp_path / "nothing.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)
PLACES = [*((key,) for key in CONTENT), *(("model", key) for key in CONTENT["model"])]


@settings(max_examples=30)
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_whatever_stands_there_it_is_read_or_refused(tmp_path_factory, place, value):
    """No file makes anything but a table or a `DataError`."""
    file = tmp_path_factory.getbasetemp() / "mutated.json"
    file.write_text(json.dumps(changed(*place, value=value)))
    with suppress(DataError):
        read_served(file)
