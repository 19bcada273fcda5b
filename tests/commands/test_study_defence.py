"""``moesim study defence`` from words to files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from simulator.cli import main

SMALL = (
    "study",
    "defence",
    "nus=0.1",
    "limits=inf",
    "samples=5",
    "budget=100",
    "attackers=3",
    "gap_s=0.5",
    "horizon_s=3",
    "share=null",
    "llm_rate=0",
    "replications=1",
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
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [case["nu"] for case in summary["cases"]] == [0.0, 0.0, 0.1]
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
        ("benign_tenant=3", "Did you mean 'benign_tenants'"),
        ("objective_ms=0", "objective_ms=0.0 must be above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    word: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, word]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_setting_of_the_cluster_beside_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["study", "defence", "workload.foo=5"]) == 2
    assert "unknown setting 'workload.foo'" in capsys.readouterr().err
