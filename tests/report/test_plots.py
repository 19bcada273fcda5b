import subprocess
import sys

import numpy as np
import pytest
from helpers.suites import some
from helpers.trace_rows import request_row

from simulator.errors import ConfigError, DataError
from simulator.report.plots import plot_latencies, plot_target_efficiency
from simulator.trace.merge import merge
from simulator.trace.schema import REQUESTS
from simulator.trace.writer import TraceWriter

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
CURVES = {"speedup": ([1, 2, 4, 8], [1.4, 1.3, 1.5, 1.9]), "sigma": ([1, 8], [0.6, 0.6])}


@pytest.fixture
def trace(tmp_path):
    def make(requests=300, arms=("baseline", "speculative"), output_tokens=20, finished=True):
        rng = np.random.default_rng(1)
        parts = []
        for arm, scale in zip(arms, (1.0, 0.5), strict=False):
            parts.append(tmp_path / f"{arm}.parquet")
            with TraceWriter(parts[-1], REQUESTS, {}, {"arm": arm, "replication": 0}) as writer:
                for index in range(requests):
                    arrival_s = 10.0 * index
                    first_s = arrival_s + 0.1 + rng.exponential(0.2)
                    finish_s = first_s + scale * rng.gamma(5.0)
                    times = (arrival_s, first_s, finish_s) if finished else (arrival_s,)
                    writer.rows.append(
                        request_row(index, *times, output_tokens=output_tokens, rounds=10)
                    )
        return merge(parts, tmp_path / "requests.parquet", {})

    return make


@pytest.mark.parametrize("suffix", MAGIC)
def test_the_suffix_decides_the_format(trace, tmp_path, suffix):
    for path in (
        plot_latencies(trace(), tmp_path / "new" / f"a{suffix}", 0.1),
        plot_target_efficiency(CURVES, tmp_path / f"b{suffix}"),
    ):
        assert path.read_bytes().startswith(MAGIC[suffix])


@pytest.mark.parametrize("suffix", some(MAGIC, ".png"))
def test_the_same_data_give_the_same_bytes(trace, tmp_path, suffix):
    requests = trace()
    pictures = [plot_latencies(requests, tmp_path / f"{i}{suffix}", 0.1) for i in range(2)]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    curves = [plot_target_efficiency(CURVES, tmp_path / f"c{i}{suffix}") for i in range(2)]
    assert curves[0].read_bytes() == curves[1].read_bytes()


def _text(path, monkeypatch, draw):
    """Draw an SVG with its text as text."""
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    return draw(path).read_text(encoding="utf-8")


def test_panels_are_labelled_with_units_and_medians(trace, tmp_path, monkeypatch):
    requests = trace()
    text = _text(tmp_path / "a.svg", monkeypatch, lambda path: plot_latencies(requests, path, 0.1))
    for label in ("time to first token (s)", "time per output token (s)", "SD off", "SD on"):
        assert label in text
    assert text.count("median ") >= 3


@pytest.mark.parametrize(("spread", "ticks"), [(10, {"0.2", "0.5"}), (10_000, set())])
def test_decades_are_labelled_within_only_where_there_is_room(spread, ticks):
    from matplotlib.figure import Figure

    from simulator.report.plots import _scale_log

    figure = Figure()
    axes = figure.subplots()
    axes.plot([0.1, 0.1 * spread], [0, 1])
    _scale_log(axes)
    figure.draw_without_rendering()
    labels = {label.get_text() for label in axes.get_xticklabels()}
    assert {"0.1", "1"} <= labels
    assert labels & {"0.2", "0.5"} == ticks


def test_curves_are_labelled(tmp_path, monkeypatch):
    text = _text(tmp_path / "a.svg", monkeypatch, lambda p: plot_target_efficiency(CURVES, p))
    for label in ("speedup", "sigma", "batch (requests)"):
        assert label in text


@pytest.mark.parametrize(
    "shape",
    [
        {"requests": 0},
        {"requests": 1},
        {"arms": ("baseline",)},
        {"output_tokens": 1},
        {"finished": False},
    ],
    ids=str,
)
def test_degenerate_traces_are_drawn_all_the_same(trace, tmp_path, shape):
    assert plot_latencies(trace(**shape), tmp_path / "a.png", 0.1).exists()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"suffix must be one of \.png, \.svg, \.pdf"):
        plot_target_efficiency(CURVES, tmp_path / "a.bmp")


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .*a\.png"):
        plot_target_efficiency(CURVES, tmp_path / "file" / "a.png")


def test_what_is_no_trace_is_refused(tmp_path):
    with pytest.raises(DataError, match="no trace"):
        plot_latencies(tmp_path / "none.parquet", tmp_path / "a.png", 0.1)


def test_importing_the_room_does_not_import_matplotlib():
    program = "import sys, simulator.report.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
