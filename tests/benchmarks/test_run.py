"""The benchmarks run and say what they promise; how fast is not a test's business."""

import json

import pyarrow.parquet as pq
import pytest

from simulator.scenario import build


def test_engine_measures_the_ring_against_simpy(benchmarks, monkeypatch):
    monkeypatch.setitem(benchmarks["engine"].REPLICAS, "cluster", 3)
    figures = benchmarks["engine"].measure(rounds=2, output_tokens=100_000)
    for case in ("ring", "ring_short", "ring_baseline", "slots", "cluster", "naive"):
        assert figures[f"{case}_over_simpy"] > 0
        assert 0 < figures[f"{case}_iterations_per_s"] < figures["simpy_timeouts_per_s"]
    assert min(figures["ring_over_naive"], figures["slots_over_naive"]) > 0
    assert figures["events_per_iteration"] == pytest.approx(1, abs=1e-3)
    assert 32 < figures["mean_batch"] <= 64
    assert figures["lookup_s_per_iteration"] > 0
    spent = figures["cost_s_per_iteration"] * figures["ring_iterations_per_s"]
    assert figures["cost_share"] == pytest.approx(spent)


@pytest.mark.slow
def test_memory_compares_two_processes(benchmarks):
    figures = benchmarks["memory"].measure(requests=100)
    assert figures["growth_ratio"] == figures["long_peak_bytes"] / figures["short_peak_bytes"]
    # Python with numpy and pyarrow takes some tens of megabytes; not the gigabytes of a wrong unit.
    assert 2e7 < figures["short_peak_bytes"] < 1e9


@pytest.mark.slow
def test_sweep_compares_two_workers_with_one(benchmarks):
    figures = benchmarks["sweep"].measure(points=2, turns=1, requests=20)
    assert figures["points_per_s_1"] > 0
    assert figures["speedup"] == pytest.approx(
        figures["points_per_s_2"] / figures["points_per_s_1"]
    )
    assert figures["main_cpu_s_per_point_2"] < figures["point_cpu_s_2"]


def test_start_counts_what_a_process_of_its_own_takes(benchmarks):
    figures = benchmarks["start"].measure(turns=1, cases={"help": "--help"})
    assert figures["help_cpu_s"] > 0


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


def test_the_python_of_the_peer_is_an_option(benchmarks, monkeypatch):
    run, seen = benchmarks["run"], []
    monkeypatch.setattr(run, "os", type("os", (), {"environ": {}}))
    monkeypatch.setattr(run, "BENCHMARKS", {"w1": lambda: seen.append(dict(run.os.environ)) or {}})
    assert run.main(["w1", "--peer-python", "/opt/peer/python"]) == 0
    assert seen == [{"MOESIM_PEER_PYTHON": "/opt/peer/python"}]


def test_a_trace_that_skips_an_iteration_of_a_replica_is_noticed(benchmarks, tmp_path):
    engine, closed_loop = benchmarks["engine"], benchmarks["closed_loop"]
    scenario = build(closed_loop.full_batch(16, 128, replicas=2))
    served = closed_loop.serve(scenario, "baseline", tmp_path)
    engine._check(scenario, served)
    table = served.iterations.read()
    numbers = table["iteration"].to_numpy().copy()
    numbers[table["replica"].to_numpy() == 1] += 1
    table = table.set_column(
        table.column_names.index("iteration"), table.schema.field("iteration"), [numbers]
    )
    pq.write_table(table, tmp_path / "shifted.parquet")
    shifted = closed_loop.Served(served.events, pq.ParquetFile(tmp_path / "shifted.parquet"))
    with pytest.raises(engine.InvariantError, match="iterations of replica 1"):
        engine._check(scenario, shifted)


@pytest.mark.slow
def test_events_measures_event_fidelity_against_simpy(benchmarks):
    figures = benchmarks["events"].measure(rounds=1, iterations=8)
    assert figures["alone_events_per_iteration"] == pytest.approx(48 * (8 + 8 + 2) + 2, abs=1)
    assert figures["overlap_events_per_iteration"] > 1.9 * figures["alone_events_per_iteration"]
    for case in ("alone", "overlap"):
        assert figures[f"{case}_event_over_timeout"] > 0
    assert figures["sampled_s_per_iteration"] > 0
