"""Timelines for trace viewers: valid, nested, in order, bounded, whole or absent."""

import json
from itertools import pairwise

import numpy as np
import pytest
from helpers.timelines import check_format, ns, read
from helpers.trace_rows import iteration_row, request_row
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.trace.perfetto.devices import ShownSteps, device_events, loaded_steps
from simulator.trace.perfetto.document import Document
from simulator.trace.perfetto.events import slice_event
from simulator.trace.perfetto.export import Shown, export
from simulator.trace.perfetto.links import change_events, link_events
from simulator.trace.perfetto.places import Places
from simulator.trace.perfetto.steps import STEP_COLUMNS, StepWriter
from simulator.trace.perfetto.window import TimeWindow
from simulator.trace.read import Run
from simulator.trace.schema import CANCELLED, LOST, START

RUNS = (Run("baseline", 0), Run("speculative", 0))


def halves(rows):
    """Two parts of every step."""
    half_s = rows["duration_s"] / 2
    return {"draft": half_s, "verify": half_s}


@pytest.fixture
def make(write_trace, tmp_path):
    """Write a trace of 40 rounds on two replicas, and export it."""
    requests = [
        request_row(i, 0.1 * i, 0.1 * i + 0.15, 0.1 * i + 0.95, 9, 4, admitted_s=0.1 * i + 0.03)
        for i in range(30)
    ]
    requests.append(request_row(31, 3.1, 3.2, 4.0, 9, 4))
    requests.append(request_row(90, 1.0))  # refused at once
    requests.append(
        request_row(91, 1.0, 1.5, outcome=CANCELLED, left_s=2.0, admitted_s=1.2, replica=1)
    )
    steps = [
        iteration_row(i, 0.1 * i, 0.1, i % 3 + 1, 1, replica=r, query_tokens=4, waiting=i % 2)
        for i in range(40)
        for r in (0, 1)
        if i != 20  # a pause
    ]

    def run(to_s=None, from_s=0.0, max_events=100_000, name="out.json", parts=halves, runs=RUNS):
        rows = {("baseline", 0): requests, ("speculative", 0): requests}
        iterations = dict.fromkeys(rows, steps)
        files = write_trace(rows, iterations)
        tables = dict(zip(("requests", "iterations"), files, strict=True))
        shown = Shown(runs, from_s, to_s, max_events)
        return export(tables, shown, tmp_path / name, parts)

    return run


def test_a_timeline_is_what_viewers_ask_for(make):
    found = make()
    events = read(found.path)
    check_format(events)
    assert (found.events, found.cut) == (len(events), False)
    names = {e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert "replica 1, speculative (replication 0)" in names
    kinds = {e["name"] for e in events if e["ph"] == "X"}
    assert kinds == {"round", "draft", "verify"}
    assert sum(e["name"] == "round" for e in events) == 2 * 2 * 39  # arms, replicas, steps


def test_requests_have_the_phases_they_had(make):
    events = read(make().path)

    def phases(request):
        key = f"speculative-0-{request}"
        return [
            (e["ph"], e["name"], ns(e["ts"]) // 1_000_000)
            for e in events
            if e.get("id2") == {"local": key}
        ]

    assert phases(0) == [
        ("b", "request", 0),
        ("b", "queued", 0),
        ("e", "queued", 30),
        ("b", "prefill", 30),
        ("e", "prefill", 150),
        ("b", "decode", 150),
        ("e", "decode", 950),
        ("e", "request", 950),
    ]
    assert [phase[1] for phase in phases(90)] == ["request", "request"]
    assert phases(91)[-2:] == [("e", "decode", 2000), ("e", "request", 2000)]
    outcome = [e["args"]["outcome"] for e in events if e["ph"] == "b" and "outcome" in e["args"]]
    assert set(outcome) == {"finished", "rejected", "cancelled"}


def test_counters_fall_to_zero_in_a_pause_and_at_the_end(make):
    events = [e for e in read(make().path) if e["name"] == "requests" and e["pid"] == 1]
    idle = [round(e["ts"] / 1e6, 3) for e in events if e["args"]["decoding"] == 0]
    assert idle == [2.0, 4.0]
    values = [tuple(e["args"].values()) for e in events]
    assert all(before != after for before, after in pairwise(values))


@pytest.mark.parametrize("most", [400, 1000])
def test_a_bound_ends_it_at_a_moment_and_the_rest_can_be_had(make, most):
    first = make(max_events=most)
    events = read(first.path)
    check_format(events)
    assert first.cut
    assert most / 4 < sum(e["ph"] != "M" for e in events) <= most
    ends = [ns(e["ts"]) + ns(e.get("dur", 0)) for e in events if e["ph"] != "M"]
    assert max(ends) == round(first.ended_s * 1e9)  # nothing beyond, and both arms up to there
    rest = make(from_s=first.ended_s, name="rest.json")
    begun = {e["args"]["request_id"] for path in (first.path, rest.path) for e in read(path)
             if e["ph"] == "b" and e["name"] == "request"}  # fmt: skip
    assert len(begun) == 33
    starts = [ns(e["ts"]) for e in read(rest.path) if e["ph"] != "M"]
    assert min(starts) == max(ends)


def test_a_window_clips_what_reaches_into_it(make):
    events = [e for e in read(make(from_s=1.05, to_s=1.25).path) if e["ph"] != "M"]
    check_format(read(make(from_s=1.05, to_s=1.25).path))
    assert all(1_050_000_000 <= ns(e["ts"]) <= 1_250_000_000 for e in events)
    rounds = [e for e in events if e["name"] == "round" and e["pid"] == 1]
    assert [round(e["dur"] / 1e3) for e in rounds] == [50, 100, 50]


def test_too_much_at_once_and_nothing_at_all_are_refused(make, tmp_path):
    with pytest.raises(ConfigError, match="come at once"):
        make(max_events=3)
    with pytest.raises(ConfigError, match="nothing is left to show"):
        make(from_s=99.0)
    with pytest.raises(ConfigError, match="no baseline 7, but baseline 0, speculative 0"):
        make(runs=(Run("baseline", 7),))
    assert not (tmp_path / "out.json").exists()


def test_whole_steps_without_a_cost_model_and_equal_bytes_compressed(make):
    first = make(parts=None, name="one.json.gz")
    assert not {"draft", "verify"} & {e["name"] for e in read(first.path)}
    again = make(parts=None, name="two.json.gz")
    assert first.path.read_bytes() == again.path.read_bytes()
    assert first.size_bytes == first.path.stat().st_size


def test_an_interrupt_leaves_no_file(tmp_path):
    path = tmp_path / "cut.json"

    def events():
        yield slice_event(1, 1, "a", 0, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Document(path) as document:
        document.add(events())
    assert list(tmp_path.iterdir()) == []


@given(
    st.lists(st.tuples(*[st.floats(0, 0.3)] * 5), min_size=1, max_size=12),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_slices_nest_whatever_rounding_and_windows_do(steps, from_s, length_s):
    """Pauses and parts of any length, cut anywhere: no slice leaves its step, no step the other."""
    pauses_s, *parts_s = np.array(steps).T
    duration_s = sum(parts_s)
    start_s = np.cumsum(pauses_s + np.concatenate([[0.0], duration_s[:-1]]))
    rows = dict.fromkeys(STEP_COLUMNS, np.ones(len(steps), int))
    rows |= {"start_s": start_s, "duration_s": duration_s, "iteration": np.arange(len(steps))}
    names = ("draft", "verify", "prefill", "rejection")

    def parts(kept):
        return {name: part[kept["iteration"]] for name, part in zip(names, parts_s, strict=True)}

    window, places = TimeWindow(from_s, from_s + length_s), Places()
    writer = StepWriter(RUNS[0], window, places, parts)
    events = [*writer.events(rows), *writer.close()]
    check_format(map(json.loads, [*places.names(), *events]))


@pytest.fixture
def table(monkeypatch):
    """Let the modules of tables read these rows."""

    def set_to(module, *parts):
        columns = [{name: np.array(column) for name, column in rows.items()} for rows in parts]
        chunks = lambda *_: iter([(RUNS[0], rows) for rows in columns])  # noqa: E731
        monkeypatch.setattr(f"simulator.trace.perfetto.{module}.chunks", chunks)

    return set_to


def loads(iteration, layer, tokens):
    ranks = len(tokens)
    columns = {"replica": 0, "iteration": iteration, "layer": layer}
    rest = dict.fromkeys(("active_experts", "bytes_in", "bytes_out"), 1.0)
    rows = {name: [value] * ranks for name, value in (columns | rest).items()}
    return rows | {"rank": range(ranks), "tokens": tokens}


def test_ranks_show_what_they_got_though_a_step_spans_two_row_groups(table):
    table("devices", loads(7, 0, [1.0, 2.0]), loads(7, 1, [1.0, 4.0]), loads(9, 0, [1.0, 1.0]))
    shown, places = ShownSteps(TimeWindow(0.0, 1.0)), Places()
    steps = {"replica": [0], "iteration": [7], "start_s": [0.25], "duration_s": [0.5]}
    shown.add(RUNS[0], {name: np.array(column) for name, column in steps.items()})
    assert loaded_steps("loads") == {(RUNS[0], 0): {7: 2, 9: 2}}
    found = list(map(json.loads, device_events("loads", RUNS[0], shown, places)))
    assert [(e["ts"], e["dur"], e["name"]) for e in found] == [
        (250_000, 500_000, "experts"),
        (250_000, 500_000, "experts, most loaded"),
    ]
    assert [e["args"]["tokens"] for e in found] == [2, 6]
    assert [e["args"]["load_over_mean"] for e in found] == [0.5, 1.5]


def test_links_are_at_rest_between_their_intervals(table):
    rows = {"start_s": [0.0, 1.0, 5.0], "duration_s": [1.0] * 3, "replica": [0] * 3}
    table("links", rows | {"link": ["gpu0-hub"] * 3, "utilisation": [0.5, 0.25, 1.0]})
    found = map(json.loads, link_events("links", RUNS[0], TimeWindow(0.0, 9.0), Places()))
    shown = [(e["ts"] / 1e6, e["args"]["percent"]) for e in found]
    assert shown == [(0, 50), (1, 25), (2, 0), (5, 100), (6, 0)]


def test_changes_of_the_cluster_are_marks(table):
    events = {"time_s": [0.5, 8.0], "event": [LOST, START], "replica": [0, 1], "gpus": [8, 8]}
    table("links", events | {"requests": [3, 0], "lost_tokens": [11, 0]})
    (mark,) = change_events("events", RUNS[0], TimeWindow(0.0, 2.0), Places())
    found = json.loads(mark)
    assert (found["ph"], found["name"], found["ts"]) == ("i", "lost", 500_000)
    assert found["args"] == {"gpus": 8, "requests": 3, "lost_tokens": 11}
