"""``moesim validate collectives``, as typed."""

import json

import pytest

from simulator.cli import main
from simulator.report import collectives as report

WORDS = ["validate", "collectives", "gpu=gb200", "topology=nvswitch_h100,pcie_host"]


def test_tables_and_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "plot_collectives", lambda found, file: file)  # seconds
    assert main([*WORDS, f"hydra.run.dir={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = " ".join(" ".join(lines).split())
    for expected in (
        "One message size left out, interpolated (measured)",
        "one model left out",
        "every table within the aim of 10.0 %",
        "Closed forms against transfers that share links",
        "Above 1.0 %: pcie_host",
        f"collectives: {tmp_path / 'collectives.png'}",
    ):
        assert expected in shown
    assert all(len(line) <= 80 for line in lines if str(tmp_path) not in line)
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    assert metrics["nccl_all_to_all_sizes_left_out_median_ape_gb200"] < 0.1
    assert metrics["closed_forms_worst_error_pcie_host"] < 0.01


@pytest.mark.slow
def test_a_picture_is_drawn(tmp_path):
    assert main([*WORDS, f"hydra.run.dir={tmp_path}"]) == 0
    assert (tmp_path / "collectives.png").stat().st_size > 10_000


def test_a_topology_that_is_none_is_refused_with_the_nearest(capsys):
    assert main(["validate", "collectives", "topology=nvl27"]) == 2
    assert "Did you mean 'nvl72'" in capsys.readouterr().err
