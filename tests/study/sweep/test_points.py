"""Points: what identifies them, and how they run."""

import os
import tempfile
from dataclasses import replace

import pytest
from helpers.scenarios import make_config

from simulator.config import HardwareConfig, RunConfig
from simulator.errors import SimulatorError
from simulator.scenario import build
from simulator.speculation.config import SpeculationConfig
from simulator.study.paired import simulate
from simulator.study.result import conclude
from simulator.study.sweep.points import content_hash, flatten, run_point
from simulator.workload.config import WorkloadConfig

SMALL = RunConfig(requests=20, replications=1)


def replayed(path):
    return make_config(workload=WorkloadConfig(kind="trace", path=str(path), format="csv"))


def test_settings_that_change_figures_change_the_hash():
    config = make_config(run=SMALL)
    same = [replace(SMALL, workers=7), replace(SMALL, picture=False)]
    other = [replace(SMALL, seed=1), replace(SMALL, requests=21)]
    known = content_hash(config)
    assert {content_hash(replace(config, run=run)) for run in same} == {known}
    assert len({known, *(content_hash(replace(config, run=run)) for run in other)}) == 3


def test_the_bytes_of_a_trace_count_and_its_time_does_not(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,prompt_tokens,output_tokens\n0,1,1\n")
    before = content_hash(replayed(trace))
    os.utime(trace, ns=(1, 1))
    assert content_hash(replayed(trace)) == before
    trace.write_text("arrival_s,prompt_tokens,output_tokens\n0,1,2\n")
    changed = content_hash(replayed(trace))
    trace.unlink()
    assert len({before, changed, content_hash(replayed(trace))}) == 3


def test_so_do_the_tables_beside_a_specification_and_files_in_a_folder(tmp_path):
    (tmp_path / "gpu.yaml").write_text("title: mine\ntables: ./\n")
    (tmp_path / "runs").mkdir()
    one = make_config(hardware=HardwareConfig(gpu=str(tmp_path / "gpu.yaml")))
    whole = make_config(hardware=HardwareConfig(gpu=str(tmp_path)))
    before = content_hash(one), content_hash(whole)
    (tmp_path / "runs" / "result.json").write_text("{}")  # of a run beside it
    assert (content_hash(one), content_hash(whole)) == before
    (tmp_path / "gemm.parquet").write_bytes(b"x")
    assert content_hash(one) != before[0]
    assert content_hash(whole) != before[1]


def test_so_does_a_file_without_a_folder_or_a_suffix_of_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    speculation = SpeculationConfig(alpha=0.7, policy="belief_table", table="table.json")
    (tmp_path / "table.json").write_text("{}")
    before = content_hash(make_config(speculation=speculation))
    (tmp_path / "table.json").write_text("{ }")
    assert content_hash(make_config(speculation=speculation)) != before


def test_names_are_no_files_whatever_lies_about(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = content_hash(make_config())
    (tmp_path / "vllm").write_text("not an engine")
    assert content_hash(make_config()) == before


def test_a_point_gives_the_summary_of_a_run_and_leaves_nothing(tmp_path, monkeypatch):
    config = make_config(run=replace(SMALL, workers=3, picture=True))
    alone = build(replace(config, run=replace(SMALL, workers=1)))
    files = {name: tmp_path / f"{name}.parquet" for name in ("requests", "iterations")}
    simulate(alone, files["requests"], files["iterations"], lambda _: None)
    expected = dict(conclude(alone, files | {"summary": tmp_path / "summary.json"}))
    del expected["files"]
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(empty))
    assert run_point(config) == expected
    assert not list(empty.iterdir())


def test_a_point_that_cannot_run_says_so():
    with pytest.raises(SimulatorError, match="no_such_gpu"):
        run_point(make_config(hardware=HardwareConfig(gpu="no_such_gpu")))


def test_flat_figures_are_scalars_by_their_paths():
    summary = {
        "speculative": {"tpot_s": {"p50": 0.01, "p99": None}, "alphas": [0.8, 0.6]},
        "tenants": [{"name": "a", "share": 0.5}, {"share": 0.5}],
        "warnings": [],
    }
    assert flatten(summary) == {
        "speculative.tpot_s.p50": 0.01,
        "speculative.tpot_s.p99": None,
        "speculative.alphas.0": 0.8,
        "speculative.alphas.1": 0.6,
        "tenants.a.name": "a",
        "tenants.a.share": 0.5,
        "tenants.1.share": 0.5,
    }
