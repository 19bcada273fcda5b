"""Tables of runs whose loads are drawn: written in parts, merged, summed up by arm."""

import numpy as np
import pytest

from simulator.report.dispatch import dispatch_notes, dispatch_rows, reasons_of
from simulator.trace.dispatch import layer_imbalance, summarise_dispatch
from simulator.trace.merge import merge
from simulator.trace.parts import read_part
from simulator.trace.schema import EXPERT_LOADS, LINKS, STEP_TIMES
from simulator.trace.writer import TraceWriter

NAMES = ["gpu0-hub0", "gpu1-hub0"]


def write(folder, table, schema, arm, rows):
    """Write a part in blocks of three rows, as a run that is flushed often."""
    part = folder / f"{table}-{arm}.arrows"
    with TraceWriter(
        part, schema, {}, {"arm": arm, "replication": 0}, names={"link": NAMES}
    ) as trace:
        for row in rows:
            trace.rows.append(row)
            if len(trace.rows) == 3:
                trace.flush()
    return part


def loads(iterations, busy):
    """Two layers on two ranks: ``busy`` copies of 4 on the first, then evenly."""
    return [
        (0, iteration, layer, rank, tokens, 2, 0.0, 0.0)
        for iteration in range(iterations)
        for layer, row in enumerate(([busy, 4.0 - busy], [2.0, 2.0]))
        for rank, tokens in enumerate(row)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    tables = {
        "expert_loads": (EXPERT_LOADS, loads(5, 3.0), loads(5, 2.0)),
        "step_times": (
            STEP_TIMES,
            [(0, 0, 1.0, 1.2, 1.5, 0.3), (0, 1, 1.0, 1.0, 1.0, 0.0)],
            [(0, 0, 2.0, 2.0, 1.9, 0.0)],
        ),
        "links": (
            LINKS,
            [(0.0, 1.0, -1, 0, 10.0, 0.1), (1.0, 1.0, -1, 1, 50.0, 0.5)],
            [(0.0, 1.0, 0, 0, 20.0, 0.2)],
        ),
    }
    found = {}
    for table, (schema, off, on) in tables.items():
        parts = [
            write(folder, table, schema, arm, rows)
            for arm, rows in (("baseline", off), ("speculative", on))
        ]
        found[table] = merge(parts, folder / f"{table}.parquet", {})
    return found


def test_the_figures_are_those_of_their_definitions(files):
    found = summarise_dispatch(files)
    off, on = found["baseline"], found["speculative"]
    assert off["imbalance"] == pytest.approx((1.5 + 1.0) / 2)
    assert on["imbalance"] == 1.0
    assert off["skew"] == pytest.approx(2.2 / 2.0 - 1)
    assert off["contention"] == pytest.approx(0.3 / 2.5)
    assert off["rest"] == pytest.approx(0.0)
    assert on["rest"] == pytest.approx(-0.05)
    assert (off["busiest_link"], off["busiest_link_utilisation"]) == ("gpu1-hub0", 0.5)
    assert on["busiest_link"] == "gpu0-hub0"


def test_without_links_there_are_no_figures_of_them(files):
    found = summarise_dispatch({name: files[name] for name in ("expert_loads", "step_times")})
    assert "busiest_link" not in found["baseline"]


def test_a_layer_without_tokens_is_even():
    assert layer_imbalance(np.zeros(3), np.arange(3)).tolist() == [1.0]


def test_names_of_links_are_the_runs_own(tmp_path):
    part = write(tmp_path, "links", LINKS, "baseline", [(0.0, 1.0, -1, 1, 5.0, 0.1)])
    assert read_part(part, "links")["link"].to_pylist() == ["gpu1-hub0"]


def test_rows_and_reasons_of_a_report(files):
    experts = summarise_dispatch(files)
    summary = {"experts": {**experts, "two_batch_overlap": True}}
    assert list(dispatch_rows(summary)) == [
        ("busiest rank / mean", "1.25", "1.00"),
        ("busiest link", "50 %", "20 %"),
    ]
    off, on = dispatch_notes(summary)
    assert off == (
        "SD off: the busiest rank has 1.25x the mean tokens, and steps take 10.0% longer than with "
        "even routing; others on their links, or slower links, hold exchanges up for 12.0% of the "
        "time of steps."
    )
    assert on == "SD on: two batches that overlap take 5.0% shorter than one after another."


def test_steps_that_agree_say_so():
    even = {"imbalance": 1.01, "skew": 0.003, "rest": 0.0, "contention": 0.0}
    assert not list(reasons_of(even, overlapping=False))
    summary = {"experts": {"baseline": even, "speculative": even, "two_batch_overlap": False}}
    assert all("within 1 %" in note for note in dispatch_notes(summary))
    assert not list(dispatch_rows({}))
    assert not list(dispatch_notes({}))
