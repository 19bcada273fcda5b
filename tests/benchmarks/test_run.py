"""The benchmarks run and say what they promise; how fast is not a test's business."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from simulator.scenario import build

FOLDER = Path(__file__).parents[2] / "benchmarks"
MODULES = ("closed_loop", "engine", "memory", "naive", "run")


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules as the script sees them, and gone afterwards."""
    monkeypatch.syspath_prepend(FOLDER)
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        del sys.modules[name]


def test_engine_measures_the_ring_against_simpy(benchmarks):
    figures = benchmarks["engine"].measure(rounds=2, output_tokens=100_000)
    for case in ("ring", "ring_short", "ring_baseline", "slots", "naive"):
        assert figures[f"{case}_over_simpy"] > 0
        assert 0 < figures[f"{case}_iterations_per_s"] < figures["simpy_timeouts_per_s"]
    assert min(figures["ring_over_naive"], figures["slots_over_naive"]) > 0
    assert figures["events_per_iteration"] == pytest.approx(1, abs=1e-3)
    assert 32 < figures["mean_batch"] <= 64
    assert figures["lookup_s_per_iteration"] > 0
    spent = figures["cost_s_per_iteration"] * figures["ring_iterations_per_s"]
    assert figures["cost_share"] == pytest.approx(spent)


def test_memory_compares_two_processes(benchmarks):
    figures = benchmarks["memory"].measure(requests=100)
    assert figures["growth_ratio"] == figures["long_peak_bytes"] / figures["short_peak_bytes"]
    # Python with numpy and pyarrow takes some tens of megabytes; not the gigabytes of a wrong unit.
    assert 2e7 < figures["short_peak_bytes"] < 1e9


def test_figures_are_written_as_json_and_shown(benchmarks, monkeypatch, tmp_path, capsys):
    run, path = benchmarks["run"], tmp_path / "figures.json"
    fakes = {"one": lambda: {"speed_per_s": 12345.6}, "two": lambda: {"ratio": 0.0625}}
    monkeypatch.setattr(run, "BENCHMARKS", fakes)
    assert run.main(["--json", str(path)]) == 0
    assert json.loads(path.read_text()) == {name: fake() for name, fake in fakes.items()}
    shown = capsys.readouterr().out
    assert "12,346" in shown
    assert "0.0625" in shown


def test_named_benchmarks_run_alone(benchmarks, monkeypatch, tmp_path):
    run, path = benchmarks["run"], tmp_path / "figures.json"
    monkeypatch.setattr(
        run, "BENCHMARKS", {"one": lambda: {"a": 1.0}, "two": lambda: pytest.fail("not asked for")}
    )
    assert run.main(["one", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == {"one": {"a": 1.0}}


def test_an_unknown_benchmark_is_refused_before_any_runs(benchmarks, capsys):
    assert benchmarks["run"].main(["memory", "engin"]) == 2
    assert "Did you mean 'engine'?" in capsys.readouterr().err


def test_a_trace_with_missing_requests_is_noticed(benchmarks, monkeypatch, tmp_path):
    closed_loop = benchmarks["closed_loop"]
    full, short = (build(closed_loop.full_batch(16, requests)) for requests in (128, 64))
    monkeypatch.setattr(
        closed_loop,
        "run_arm",
        lambda scenario, run, tables, served=closed_loop.run_arm: served(short, run, tables),
    )
    with pytest.raises(closed_loop.InvariantError, match="64 of 128 requests"):
        closed_loop.serve(full, "baseline", tmp_path)
