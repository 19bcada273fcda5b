"""Fits as people read them."""

import io
from dataclasses import replace

import numpy as np
import pytest
from helpers.calibration import TRUTH, grid, synthetic
from rich.console import Console

from simulator.report.calibration import plot_calibration, print_calibration
from simulator.report.moesd_activation import plot_activation_study, print_activation_study
from simulator.report.moesd_fit import plot_fit_study, print_fit_study
from simulator.study.calibration.bounds import open_bounds
from simulator.study.calibration.fit import fit
from simulator.study.calibration.job import Calibration
from simulator.study.calibration.measurements import QUANTITIES
from simulator.study.moesd import fit as moesd_fit
from simulator.study.moesd.activation import activation_curves
from simulator.study.moesd.published import strides


def calibration(names, bounds=None, **kwargs):
    measured = synthetic(grid(), names, **kwargs)
    found = fit(measured, bounds or open_bounds(), starts=1)
    return Calibration(fit=found, warnings=("look out",), assumptions=("a stand-in",))


def shown(show, what):
    out = io.StringIO()
    show(what, Console(file=out, width=80, highlight=False))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    return lines, " ".join(out.getvalue().split())


def test_seconds_where_they_are_known():
    lines, text = shown(print_calibration, calibration(QUANTITIES, noise=0.01))
    (bias,) = (line for line in lines if line.startswith(" bias"))
    assert " ms to " in bias
    assert "54 speedups: half the sum of squares" in text
    assert "216 times: root mean square 1.0 %" in text
    assert "10 of 10 combinations of parameters are determined." in text
    assert "moesim calibrate engine --help" in text
    assert "Warning: look out" in text
    assert "Assumed: a stand-in." in text


def test_plain_steps_where_seconds_are_free():
    lines, text = shown(print_calibration, calibration(("speedup",), noise=0.01))
    assert "plain steps" in text
    assert not any(" ms" in line for line in lines)
    assert "One measured ar_step_s, at any batch, fixes the scale" in text
    assert "Free:" not in text  # the scale was said in better words


def test_what_is_free_is_left_blank_and_named():
    lines, text = shown(print_calibration, calibration(("ar_step_s",)))
    (row,) = (line for line in lines if line.startswith(" reject_k"))
    assert row.split()[1:] == ["free", "rejection,", "per", "request"]
    assert "Free: reject_k alone: no measurement feels it." in text
    assert "Measure next: draft_step_s at batch 1" in text


def test_what_no_step_time_tells_apart_is_said():
    """Times that do not grow with their tokens: a load and a growth of s = 1 are one number."""
    flat = TRUTH._replace(k1=0.0, k3=0.0, draft_k=0.0)
    _, text = shown(print_calibration, calibration(QUANTITIES, truth=flat))
    assert "Free: k1 against bias." in text
    assert "Free: draft_k against draft_bias." in text
    assert "No further step time tells these apart near this solution." in text


def test_parameters_at_a_bound_are_named():
    bounds = open_bounds()
    bounds.low[9] = 1.05
    _, text = shown(print_calibration, calibration(QUANTITIES, bounds, noise=0.01))
    assert "At a bound: s (lower)" in text.replace("k1 (lower), ", "")


def test_a_lonely_start_asks_for_more():
    found = calibration(("speedup",), noise=0.01)
    assert "try starts=50" not in shown(print_calibration, found)[1]
    lonely = replace(found.fit, solution=replace(found.fit.solution, starts=12))
    _, text = shown(print_calibration, replace(found, fit=lonely))
    assert "1 of 12 starts ended here. Others found worse minima: try starts=50." in text


@pytest.mark.parametrize("names", [("speedup",), QUANTITIES])
def test_residuals_are_drawn_for_every_quantity(names, tmp_path):
    found = calibration(names, noise=0.01).fit
    path = plot_calibration(found, tmp_path / "residuals.png")
    again = plot_calibration(found, tmp_path / "again.png")
    assert path.read_bytes() == again.read_bytes()


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        rows = tuple(row for row in strides() if row.points in (12, 228))
        patch.setattr(moesd_fit, "strides", lambda: rows)
        patch.setattr(moesd_fit, "STARTS", 2)
        return moesd_fit.fit_published(lambda: None)


def test_the_papers_table_stands_beside_ours(study):
    lines, text = shown(print_fit_study, study)
    (row,) = (line for line in lines if line.split()[:1] == ["12*"])
    assert row.split()[1:3] == ["20", "4.288"]
    assert "(published: 1.523)" in text


def test_the_papers_curves_are_drawn(study, tmp_path):
    assert plot_fit_study(study, tmp_path / "fit.svg").stat().st_size > 20_000


def test_activation_is_told_and_drawn(tmp_path):
    study = activation_curves()
    lines, text = shown(print_activation_study, study)
    assert "Active experts of DeepSeek-V2-Lite" in text
    assert "law 0.95, elsewhere" in text
    errors = [line for line in lines if "mean error" in line and line.startswith(" ")]
    assert [len(line.split("%")) - 1 for line in errors] == [2, 3]
    assert plot_activation_study(study, tmp_path / "experts.png").stat().st_size > 10_000
    assert np.all([curve.exponent < 1 for curve in study.curves])
