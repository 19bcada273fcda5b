"""``moesim validate``: what it prints and writes, and what it refuses."""

import json

import numpy as np
import pytest

from simulator.commands.validate import SUBJECTS, main
from simulator.errors import ConfigError, TableError
from simulator.study.tables import validate as validate_kernels
from simulator.study.tables.experts import ExpertsLeftOut
from simulator.study.tables.left_out import LeftOut


@pytest.fixture
def asked(monkeypatch):
    """Replace the validation by one of a single row per GPU; return the GPUs it was asked for."""
    found = []

    def validate(gpus, advance):
        found.extend(gpus)
        advance()
        tables = []
        for gpu in gpus:
            shape = np.array(["8/2 4096x14336"])
            rows = LeftOut("experts", gpu, "bfloat16", shape, np.array([1.0]), np.array([1.04]))
            tables.append(ExpertsLeftOut(rows, rows, np.array([0.02]), 3, 0.8))
        cleaning = validate_kernels.cleaning(gpus)
        return validate_kernels.Validation(gpus, tables, [], [], cleaning)

    monkeypatch.setattr(validate_kernels, "validate_kernels", validate)
    return found


def test_tables_on_screen_and_figures_in_the_folder(asked, tmp_path, capsys):
    assert main(["kernels", "gpu=l40s", f"hydra.run.dir={tmp_path / 'here'}"]) == 0
    assert asked == ["l40s"]
    out = capsys.readouterr().out
    assert "Routed experts: one model's shape left out of the fit" in out
    assert out.rstrip().endswith(f"summary: {tmp_path / 'here' / 'summary.json'}")
    metrics = json.loads((tmp_path / "here" / "summary.json").read_text())["metrics"]
    assert metrics["experts_lomo_median_ape_l40s"] == pytest.approx(0.04)
    assert metrics["ratio_median_ape_l40s"] == 0.02


def test_metrics_as_json_and_nothing_else(asked, capsys):
    assert main(["kernels", "gpu=l40s", "json=true"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["ratio_median_ape_l40s"] == 0.02
    assert metrics["bandwidth_fraction_l40s_bfloat16"] is None  # no line was drawn


def test_the_default_folder_is_dated(asked, tmp_path, capsys):
    main(["kernels", "gpu=l40s", "picture=true"])
    (folder,) = tmp_path.glob("runs/*/*-validate-kernels")
    assert {path.name for path in folder.iterdir()} == {"summary.json", "predictions.png"}
    assert "predictions.png" in capsys.readouterr().out


def test_all_gpus_without_a_name_and_several_by_name(asked):
    main(["kernels", "json=true"])
    assert len(asked) == 9
    asked.clear()
    main(["kernels", "json=true", "gpu=[l40s, gb200,h100_sxm]"])
    assert asked == ["l40s", "gb200", "h100_sxm"]


def test_an_unknown_gpu_names_the_nearest(asked):
    with pytest.raises(TableError, match=r"unknown GPU 'h10_sxm'\. Did you mean 'h100_sxm'\?"):
        main(["kernels", "gpu=h10_sxm"])
    assert asked == []


def test_an_unknown_subject_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'kernels'"):
        main(["kernel"])


def test_without_a_subject_the_subjects_are_listed(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in SUBJECTS)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_subject_has_help_without_work(subject, capsys):
    assert main([subject, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"usage: moesim validate {subject} [key=value ...]" in out
    assert "hydra.run.dir=DIR" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_routes_against_what_was_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("simulator.study.routing.validate.STEPS", ((2, 2),))
    monkeypatch.setattr("simulator.study.routing.validate.PROMPTS", ((1, 64),))
    words = ["routing", "model=qwen1_5_moe_a2_7b", f"hydra.run.dir={tmp_path / 'here'}"]
    assert main(words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "qwen1_5_moe_a2_7b experts, 4 tokens 13.7" in out
    assert "5 of 5 figures are within 5%" in out
    found = json.loads((tmp_path / "here" / "summary.json").read_text())
    metrics = found["metrics"]
    assert metrics["routing_union_4_qwen1_5_moe_a2_7b"] == pytest.approx(13.7, rel=0.05)
    assert metrics["routing_worst_error"] < 0.05
    assert 0 < metrics["routing_law_mape_steps_qwen1_5_moe_a2_7b"] < 0.05
    used = {row["figure"]: row["archetype"] for row in found["published"]}
    assert used["overlap_1"] == "calibrated"
    assert used["union_8"] == "unused"
