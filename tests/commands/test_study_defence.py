"""``moesim study defence`` from words to files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from simulator.cli import main
from simulator.study import digit_images

SMALL = (
    "study",
    "defence",
    "defences=rnd",
    "nus=0.1",
    "limits=inf",
    "samples=5",
    "budget=44",
    "attackers=3",
    "gap_s=0.5",
    "horizon_s=3",
    "share=null",
    "llm_rate=0",
    "replications=1",
    "sessions=2",
    "workers=1",
    "picture=false",
)


def test_a_small_study_prints_advice_and_names_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, f"hydra.run.dir={tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert "Advice: " in out
    assert f"sessions: {tmp_path}/sessions.parquet" in out
    assert f"tenants: {tmp_path}/tenants.parquet" in out
    assert "What attackers can change" in out
    summary = json.loads((tmp_path / "summary.json").read_text())
    named = [(case["defence"], case["nu"], case["attacked"]) for case in summary["cases"]]
    assert named == [("none", 0.0, False), ("none", 0.0, True), ("rnd", 0.1, True)]
    assert len(summary["variants"]) == 2 * 3  # eot=4 would not fit into the budget twice
    assert summary["advice"]
    assert summary["metrics"]["attack_queries_per_s"] > 0
    assert pq.read_table(tmp_path / "sessions.parquet").num_rows > 3


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("limit_burst=5", "limit_burst=5 has no effect"),
        ("workload.rate=3", "set llm_rate"),
        ("scenario=code", "scenario=code has no effect: llm_rate=0"),
        ("stop=firsthit", "Did you mean 'first_hit'"),
        ("horizon_s=0", "horizon_s=0.0 must be more than 0"),
        ("benign_rate=0", "benign_rate=0.0 must be above 0"),
        ("batch_ms=-1", "batch_ms=-1.0 must be 0 or more"),
        ("limits=2,2", "limits=[2.0, 2.0] must be different values"),
        ("horizon_s=inf", "horizon_s=inf must be more than 0, and finite"),
        ("llm_rate=nan", "llm_rate=nan must be 0 or more, and finite"),
        ("limits=inf,0", "0.0 queries/s would let nobody in"),
        ("quota=0", "quota=0 must be at least 1"),
        ("budget=11", "budget=11 is spent before the attack has moved"),
        ("attack=nez", "unknown attack 'nez'. Did you mean 'nes'"),
        ("radius=1e-9", "radius=1e-09 must be at least 1e-06"),
        ("sessions=-1", "sessions=-1 must be 0 or more"),
        ("benign_tenant=3", "Did you mean 'benign_tenants'"),
        ("objective_ms=0", "objective_ms=0.0 must be above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    word: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, word]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_library_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(digit_images, "find_spec", lambda name: None)
    assert main([*SMALL]) == 2
    assert "pip install 'moesim[study]'" in capsys.readouterr().err


def test_an_unknown_setting_of_the_cluster_beside_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["study", "defence", "workload.foo=5"]) == 2
    assert "unknown setting 'workload.foo'" in capsys.readouterr().err
