import json
from dataclasses import replace

import pytest

from simulator.errors import SimulatorError
from simulator.report.html.blocks import Table
from simulator.report.html.sweep.page import completeness, sweep_page, title_of
from simulator.report.html.sweep.slices import slice_of
from simulator.report.html.sweep.source import SweepSource, read_sweep


@pytest.fixture(scope="module")
def page(sweep_folder):
    return sweep_page(sweep_folder)


def tables(page):
    return {s.key: b for s in page.sections for b in s.blocks if isinstance(b, Table)}


def chart(page, key):
    return next(chart for chart in page.charts if chart.key == key)


def test_the_verdict_counts_points_and_names_the_best(page):
    assert page.verdict.startswith("Speculative decoding pays at 4 of 7 points and costs at 1")
    assert "2.40x (95 % interval 2.30 to 2.50) at gamma 4, rate 4" in page.verdict
    assert page.advice == "2 of 9 points could not run; the reasons are below."


def test_the_heat_map_lies_over_load_and_draft_length_at_the_best_of_the_third_axis(page):
    heat = chart(page, "heat")
    (cells,) = heat.series
    assert (heat.x.title, heat.y.title) == ("workload.rate", "speculation.gamma")
    assert (cells.columns, cells.rows) == (["1", "2", "4"], ["0", "2", "4"])
    assert cells.values[2] == [1.6, 2.0, 2.4]
    assert cells.texts[1] == ["1.40x", "failed", "failed"]


def test_lines_carry_intervals_and_the_arm_without_speculation(page):
    lines = {line.name: line for line in chart(page, "speedup-lines").series}
    assert lines["gamma 4"].low == pytest.approx([1.5, 1.9, 2.3])
    assert lines["gamma 2"].y == [1.4, None, None]  # the others failed
    assert lines["gamma 2"].low is None
    *_, off = chart(page, "measure-tpot-s-p50").series
    assert (off.name, off.dashed, off.y) == ("SD off", True, [0.02, 0.02, 0.02])


def test_all_points_are_ranked_and_failed_ones_share_their_reason(page):
    points, failed = tables(page)["points"], tables(page)["failed"]
    assert [row.cells[0].text for row in points.rows][:3] == ["4", "4", "4"]
    assert points.rows[-1].cells[3].tone == "bad"
    assert [[cell.text for cell in row.cells] for row in failed.rows] == [
        ["2", "gamma 2, rate 2; gamma 2, rate 4", "<b>no</b> room"]
    ]


def test_sentences_say_how_many_points_they_hold_at(page):
    (items,) = next(section for section in page.sections if section.key == "assumptions").blocks
    assert items.texts[0] == "all alike"
    assert "only gamma 0 (at 3 of 7 points)" in items.texts


def test_the_command_that_asked_is_told(page):
    blocks = page.sections[-1].blocks
    words = "model=mixtral_8x7b speculation.gamma=0,2,4 workload.rate=1,2,4"
    assert blocks[0].text == f"moesim sweep {words}"


def test_a_sweep_that_is_not_done_says_so(sweep_folder, tmp_path):
    state = json.loads((sweep_folder / "sweep.json").read_text("utf-8"))
    fewer = SweepSource(sweep_folder, state | {"points": 12}, read_sweep(sweep_folder).rows)
    assert "9 of 12 points are there" in completeness(fewer)
    (tmp_path / "sweep.json").write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(SimulatorError, match="no point of its sweep yet"):
        sweep_page(tmp_path)


def test_axes_of_names_are_bars_and_a_third_axis_is_held(sweep_folder):
    source = read_sweep(sweep_folder)
    models = [{**row, "model": name} for row in source.rows for name in ("a", "b")]
    axes = {"model": ["a", "b"], **source.axes}
    shown = slice_of(replace(source, rows=models, state={**source.state, "axes": axes}))
    assert (shown.x, shown.y, shown.held) == ("workload.rate", "speculation.gamma", "model=a")
    assert len(shown.points) == 9


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({}, "Chat"),
        ({"overrides": ["model=toy"]}, "Toy on 2 x GPU"),
        ({"model": "Other"}, "A sweep over speculation.gamma"),
    ],
)
def test_a_title_is_that_of_what_ran(sweep_folder, change, title):
    models = ("Toy", change.get("model", "Toy"))
    rows = [
        {"status": "done", "scenario.title": "Chat", "scenario.model": model}
        | {"scenario.hardware": "2 x GPU"}
        for model in models
    ]
    state = {"axes": {"speculation.gamma": [1, 3]}, "overrides": change.get("overrides", [])}
    assert title_of(replace(read_sweep(sweep_folder), rows=rows, state=state)) == title
