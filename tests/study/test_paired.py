"""Paired runs: same seed, same columns, whatever the number of processes."""

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.scenarios import make_config

from simulator.config import RunConfig
from simulator.models.draft_tree import DraftTree
from simulator.scenario import build
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.recorded import RecordedAcceptance
from simulator.study.decomposition import best_draft_length, decompose, longest_proposed
from simulator.study.paired import run_count, simulate
from simulator.study.result import conclude
from simulator.workload.config import WorkloadConfig


def run(folder, *, gamma=2, **settings):
    """Simulate a short scenario; return it with its two tables."""
    defaults = {"requests": 60, "replications": 3, "workers": 1}
    config = make_config(
        workload=WorkloadConfig(preset="chat", rate=3.0, max_output_tokens=80),
        speculation=SpeculationConfig(gamma=gamma, alpha=0.7),
        run=RunConfig(**(defaults | settings)),
    )
    scenario = build(config)
    files = {name: folder / f"{name}.parquet" for name in ("requests", "iterations")}
    done = []
    simulate(scenario, files["requests"], files["iterations"], done.append)
    assert done == [1] * run_count(config)
    return scenario, files


def columns(files):
    """All columns of both tables, as plain values."""
    return [pq.read_table(path).to_pydict() for path in files.values()]


def test_same_seed_gives_the_same_columns_in_one_process_or_several(tmp_path):
    once, again, parallel = (
        columns(run(tmp_path / name, workers=workers)[1])
        for name, workers in [("once", 1), ("again", 1), ("parallel", 2)]
    )
    assert once == again == parallel


def test_another_seed_gives_other_columns(tmp_path):
    one, other = (columns(run(tmp_path / str(seed), seed=seed)[1]) for seed in (1, 2))
    assert one != other


def test_arms_share_arrivals_and_lengths(tmp_path):
    """Common random numbers: the pairing is by request."""
    _, files = run(tmp_path)
    requests = pq.read_table(files["requests"]).to_pylist()
    common = ("arrival_s", "prompt_tokens", "output_tokens")
    arms = {
        arm: {
            (row["replication"], row["request_id"]): [row[key] for key in common]
            for row in requests
            if row["arm"] == arm
        }
        for arm in ("baseline", "speculative")
    }
    assert arms["baseline"] == arms["speculative"]
    assert len(arms["baseline"]) == 3 * 60


def test_gamma_zero_equals_plain_decoding_exactly(tmp_path):
    """INV-9: with speculation off the two arms are the same run."""
    _, files = run(tmp_path, gamma=0)
    for table in columns(files):
        rows = list(zip(*(v for k, v in table.items() if k != "arm"), strict=True))
        split = [arm == "baseline" for arm in table["arm"]]
        assert [r for r, base in zip(rows, split, strict=True) if base] == [
            r for r, base in zip(rows, split, strict=True) if not base
        ]


def test_no_part_files_are_left(tmp_path):
    run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "iterations.parquet",
        "requests.parquet",
    ]


def test_a_trace_names_its_configuration_seed_and_versions(tmp_path):
    _, files = run(tmp_path, seed=41)
    notes = pq.read_metadata(files["requests"]).metadata
    assert notes[b"moesim.seed"] == b"41"
    assert b'"gamma": 2' in notes[b"moesim.config"]
    assert b'"simpy"' in notes[b"moesim.versions"]


def test_the_summary_carries_what_users_script_against(tmp_path):
    scenario, files = run(tmp_path)
    summary = conclude(scenario, {**files, "summary": tmp_path / "summary.json"})
    for figure in ("throughput", "tpot_p50", "e2e_p50"):
        assert set(summary["speedup"][figure]) == {"value", "low", "high"}
        interval = summary["speedup"][figure]
        assert interval["low"] <= interval["value"] <= interval["high"]
    assert 0 < summary["target_efficiency"] < 1
    assert 1 < summary["mean_acceptance_length"] < 3
    assert {"baseline", "speculative", "warnings", "assumptions"} <= set(summary)
    assert (tmp_path / "summary.json").exists()


@pytest.mark.parametrize("gamma", [0, 1, 4])
def test_the_decomposition_adds_up(gamma):
    scenario = build(make_config(speculation=SpeculationConfig(gamma=gamma, alpha=0.7)))
    point = decompose(scenario.step_model, scenario.acceptance, 8.0, 500.0, gamma)
    ratios = point.draft_ratio + point.verify_ratio + point.rejection_ratio
    assert point.speedup == pytest.approx(point.expected_tokens_per_round / ratios)
    assert point.target_efficiency == pytest.approx(1 / point.verify_ratio)
    shares = point.measured_share + point.fitted_share + point.assumed_share
    assert shares == pytest.approx(1.0)
    if gamma == 0:
        assert point.speedup == pytest.approx(1.0)


def test_the_proposed_draft_length_is_the_best_of_the_closed_form():
    scenario = build(make_config(speculation=SpeculationConfig(gamma=2, alpha=0.9)))
    parts = scenario.step_model, scenario.acceptance
    best = best_draft_length(*parts, 16.0, 500.0)
    every = [decompose(*parts, 16.0, 500.0, gamma).speedup for gamma in range(1, 9)]
    assert best.speedup == max(every)
    assert best.gamma == 1 + every.index(max(every))


@pytest.mark.parametrize(
    ("widths", "recorded", "longest"), [((), 9, 8), ((4, 2), 9, 2), ((), 5, 5)]
)
def test_no_draft_is_proposed_that_would_be_refused(widths, recorded, longest):
    model = SimpleNamespace(drafting=SimpleNamespace(tree=DraftTree(widths)))
    counts = np.array([recorded, 0])
    acceptance = RecordedAcceptance(np.zeros(2, np.int64), np.arange(2), counts)
    assert longest_proposed(model, acceptance) == longest
