"""``moesim validate moesd`` on two batches, the fit of the paper's own model left out."""

import json
from dataclasses import dataclass, field

import pytest
from helpers.moesd import reduced

from simulator.commands.validate import main
from simulator.errors import ConfigError
from simulator.report import moesd_fit as fit_report
from simulator.report import moesd_plots
from simulator.study.moesd import fit as moesd_fit
from simulator.study.moesd import validate as validate_moesd

NAMED = {
    "half_sse_228", "moe_speedup_mape", "dense_speedup_mape", "peak_value_error",
    "uncalibrated_moe_mape", "uncalibrated_dense_mape", "crossover_batch",
    *(f"window_{top_k}" for top_k in (1, 2, 4, 8, 16, 32)),
}  # fmt: skip
"""Figures that ``summary.json`` must name."""


@dataclass
class Fitted:
    metrics: dict = field(default_factory=lambda: {"half_sse_228": 1.5})


@pytest.fixture
def quick(monkeypatch):
    """Replace the long parts by what they found before, or by nothing."""
    monkeypatch.setattr(moesd_fit, "fit_published", lambda advance: Fitted())
    monkeypatch.setattr(fit_report, "print_fit_study", lambda study, console: None)
    monkeypatch.setattr(fit_report, "plot_fit_study", lambda study, file: file)
    monkeypatch.setattr(moesd_plots, "plot_speedups", lambda found, file: file)  # seconds
    monkeypatch.setattr(validate_moesd, "prepare", lambda batches: reduced().prepared)
    monkeypatch.setattr(validate_moesd, "validate_moesd", lambda *_, **__: reduced())


@pytest.mark.slow
def test_tables_pictures_and_figures(quick, tmp_path, capsys):
    assert main(["moesd", "workers=1", f"hydra.run.dir={tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert "Speedup, simulated end to end" in out
    assert "Active experts of" in out
    names = ("summary.json", "cells.csv", "target_efficiency.png", "sparsity.png")
    for name in (*names, "activation.png"):
        assert f": {tmp_path / name}" in out
        assert (tmp_path / name).is_file()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["metrics"]) >= NAMED
    assert summary["refused"]["ms, overlap, bandwidth up to peak"] == ["draft_step_s"]
    assert len(summary["pairs"]) == 45


def test_metrics_alone_as_json(quick, tmp_path, capsys):
    main(["moesd", "json=true", "picture=false", f"hydra.run.dir={tmp_path}"])
    metrics = json.loads(capsys.readouterr().out)
    assert set(metrics) >= NAMED
    assert metrics["moe_calibrated_numbers"] <= 6
    assert not list(tmp_path.glob("*.png"))


def test_an_unpublished_batch_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="batch=9 was not published"):
        main(["moesd", "batch=8,9", f"hydra.run.dir={tmp_path}"])
    assert not list(tmp_path.iterdir())


def test_a_batch_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="batch"):
        main(["moesd", "batch=many", f"hydra.run.dir={tmp_path}"])


def test_workers_below_one_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="workers"):
        main(["moesd", "workers=0", f"hydra.run.dir={tmp_path}"])
