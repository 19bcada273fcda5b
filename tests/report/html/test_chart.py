import math

import plotly.graph_objects as go
import pytest

from simulator.report.html.chart import Axis, Bars, Cells, Chart, Line, Rule, legend, ticks
from simulator.report.html.pictures import draw
from simulator.report.html.plotly_figure import figure

HOSTILE = "<a href='javascript:alert(1)'>$x^2$ & y</a>"


def chart(*series, x=None, y=None, **others):
    axes = {"x": x or Axis(title="batch"), "y": y or Axis(title="speedup")}
    return Chart(key="a", title=HOSTILE, caption="", series=series, **(axes | others))


LINE = Line(name=HOSTILE, x=[1.0, 2.0, 4.0], y=[1.0, None, math.nan], colour="#0b6bcb")
BAND = Line(
    name="band", x=[1.0, 8.0], y=[1.0, 2.0], low=[0.5, 1.5], high=[1.5, 2.5], colour="#2a8a55"
)
DOTS = Line(
    name="dots", x=[1.0], y=[2.0], colour="#1c2733", joined=False, texts=[HOSTILE], dashed=True
)
BARS = Bars(name=HOSTILE, labels=["1", HOSTILE], values=[0.5, None], colour="#0b6bcb")
CELLS = Cells(
    name="speedup",
    columns=["0", "4"],
    rows=["1", HOSTILE],
    values=[[1.0, None], [0.5, 2.0]],
    texts=[["1.00x", ""], [HOSTILE, "2.00x"]],
    middle=1.0,
)
CATEGORY = Axis(title="gamma", scale="category")
CHARTS = {
    "lines": chart(
        LINE,
        BAND,
        DOTS,
        x=Axis(title="batch", scale="doubling"),
        rules=[Rule(at=2.0, label=HOSTILE, vertical=True), Rule(at=1.0, label="no gain")],
        shared_x=True,
    ),
    "latency": chart(LINE, x=Axis(title="TTFT", unit="seconds", scale="log")),
    "nothing": chart(x=Axis(title="TTFT", unit="seconds", scale="log")),
    "bars": chart(BARS, BARS, x=CATEGORY, y=Axis(title="share", unit="percent", bounds=(0, 1))),
    "stacked": chart(BARS, BARS, y=CATEGORY, stacked=True, wide=True),
    "heat": chart(CELLS, x=CATEGORY, y=CATEGORY),
    "categories": chart(
        Line(name="a", x=["low", HOSTILE], y=[1.0, 2.0], colour="#0b6bcb", marked=True), x=CATEGORY
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_plotly_takes_every_figure_and_reads_no_tag_in_it(name):
    made = figure(CHARTS[name])
    assert go.Figure(made)
    assert "<a" not in str([{k: v for k, v in t.items() if k != "meta"} for t in made["data"]])
    assert "<a" not in str(made["layout"])


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.parametrize("name", ["lines", "bars", "stacked", "heat"])
def test_every_kind_is_drawn_as_a_file_too(name, suffix, tmp_path):
    path = draw(CHARTS[name], tmp_path / f"a.{suffix}")
    assert path.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml"}[suffix])


def test_a_band_is_drawn_below_its_line_and_goes_with_it():
    low, high, line = figure(chart(BAND))["data"]
    assert low["y"] == [1.5, 2.5]
    assert high["fill"] == "tonexty"
    assert {low["meta"], high["meta"], line["meta"]} == {"band"}


def test_coordinates_are_cut_to_what_a_screen_shows():
    line = Line(name="a", x=[1 / 3], y=[math.inf], colour="#000000")
    (made,) = figure(chart(line))["data"]
    assert (made["x"], made["y"]) == ([0.33333], [None])


@pytest.mark.parametrize(
    ("axis", "low", "high", "words"),
    [
        (Axis(title="b", scale="doubling"), 1.0, 6.0, ["1", "2", "4"]),
        (Axis(title="b", scale="doubling"), 1.0, 2.0**20, 7),
        (
            Axis(title="t", unit="seconds", scale="log"),
            0.9e-3,
            1.1,
            ["1 ms", "10 ms", "100 ms", "1 s"],
        ),
        (
            Axis(title="t", unit="seconds", scale="log"),
            0.15,
            25.0,
            ["300 ms", "1 s", "3 s", "10 s"],
        ),
        (Axis(title="n", scale="log"), 3.1, 3.5, ["3.1", "3.5"]),
    ],
    ids=["batch", "many", "decades", "thirds", "narrow"],
)
def test_ticks_are_round_and_few(axis, low, high, words):
    at, written = ticks(axis, low, high)
    assert len(at) == len(written) <= 14
    assert len(written) == words if isinstance(words, int) else written == words


def test_a_legend_tells_lines_bounds_dots_and_bars_apart():
    assert [sign for _, _, sign in legend(chart(LINE, DOTS, BARS))] == ["line", "dot", "box"]
    assert legend(chart(LINE)) == legend(chart(CELLS)) == []
