"""The benchmark of traces, made small, and the memory of a long replay."""

import pytest


def test_a_small_run_reports_what_the_large_one_does(benchmarks, monkeypatch):
    traces = benchmarks["traces"]
    served = {"peak_bytes": 2e8, "cpu_s": 3.0}
    monkeypatch.setattr(traces, "figures_of", lambda *_: served)
    figures = traces.measure(requests=200)
    assert {f"{name}_rows_per_cpu_s" for name in ("azure", "csv", "csv_all", "parquet")} < set(
        figures
    )
    assert (figures["long_cpu_s"], figures["growth_ratio"]) == (3.0, 1.0)


@pytest.mark.slow
def test_memory_of_a_replay_does_not_grow_with_the_trace(benchmarks):
    """The bound is at about 60 bytes a request; a row kept of each takes twice that or more.

    Measured from a hundred thousand to a million rows: 1.00 to 1.02, of an allocator that is not
    the same twice.
    """
    figures = benchmarks["traces"].measure(requests=500_000)
    assert figures["growth_ratio"] < 1.1
