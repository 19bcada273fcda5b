"""The report of MoESD's reproduction: in 80 columns, with every cell's role, and pictures."""

import io

import pytest
from helpers.moesd import reduced
from rich.console import Console

from simulator.errors import ConfigError
from simulator.report.moesd import GOALS, print_moesd
from simulator.report.moesd_plots import plot_efficiency, plot_sparsity, plot_speedups
from simulator.study.moesd.validate import bottom_up_metrics


@pytest.fixture(scope="module")
def printed():
    stream = io.StringIO()
    print_moesd(reduced(), Console(file=stream, width=80))
    return stream.getvalue()


def line_of(text, start):
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_it_fits_80_columns_and_cuts_nothing(printed):
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed


def test_calibrated_cells_are_marked(printed):
    table = printed.split("Temperature 0, gamma 4")[1]
    eight, sixty = line_of(table, "8 "), line_of(table, "60 ")
    assert eight.count("*") == 2  # speedup and target efficiency of the MoE
    assert sixty.count("*") == 3  # and the dense speedup
    assert "every other one is a prediction" in table


def test_failed_readings_are_reported_with_their_overhead(printed):
    text = " ".join(printed.split())
    assert "'ms, uniform routing' leave below zero: host time per step (-" in text
    assert text.count("A failure of the routing law or the bandwidth; not kept.") == 2


def test_the_verdict_compares_with_the_aims(printed):
    figures = bottom_up_metrics(reduced())
    verdict = " ".join(printed.split())
    for name, (what, goal) in GOALS.items():
        word = "within" if figures[name] <= goal else "MISSES"
        assert f"{what}: {100 * figures[name]:.1f} % ({word} {100 * goal:.1f} %)" in verdict


def test_other_pairs_are_printed_the_failed_ones_in_brackets(printed):
    table = printed.split("had another pair of batches been looked at")[1]
    assert line_of(table, "32 ").count("(") == 4
    assert "The other 34 of 45 pairs" in table


@pytest.mark.parametrize("plot", [plot_speedups, plot_efficiency, plot_sparsity])
def test_pictures_are_written(plot, tmp_path):
    written = plot(reduced().found, tmp_path / "new" / "picture.png")
    assert written.read_bytes()[:4] == b"\x89PNG"


def test_pictures_of_an_unknown_format_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="suffix must be one of"):
        plot_efficiency(reduced().found, tmp_path / "picture.doc")
