"""The run of a million requests, made small: what is fitted, and what is checked."""

import pytest


@pytest.fixture
def million(benchmarks, monkeypatch):
    module = benchmarks["million"]
    monkeypatch.setattr(
        module,
        "figures_of",
        lambda _, requests, replicas: module._figures(int(requests), int(replicas)),
    )
    return module


def test_a_small_run_reports_what_the_large_one_does(million):
    figures = million.measure(requests=400, replicas=4)
    assert [name for name in figures if name.startswith("cpu_s_")] == [
        f"cpu_s_{requests}" for requests in (50, 100, 200, 400)
    ]
    assert figures["iterations_per_s"] == figures["iterations"] / figures["cpu_s_400"]
    assert figures["events"] > figures["iterations"] > 0
    assert figures["peak_bytes"] > 2e7
    assert {"exponent", "fit_fixed_s", "fit_s_per_request", "fit_worst_error"} <= set(figures)


def test_the_fit_tells_a_line_from_a_curve(million):
    requests = [125_000, 250_000, 500_000, 1_000_000]
    line = million.fit(requests, [0.5 + 1e-4 * n for n in requests])
    assert line["fit_worst_error"] < 1e-9
    assert line["exponent"] < 1
    curve = million.fit(requests, [1e-9 * n**1.5 for n in requests])
    assert curve["exponent"] == pytest.approx(1.5)
    assert curve["fit_worst_error"] > 0.05


def test_every_request_is_served_by_one_of_the_replicas(million):
    served = million.serve(300, 8)
    assert sorted(served.requests["request_id"].to_pylist()) == list(range(300))
    assert set(served.requests["replica"].to_pylist()) == set(range(8))


def test_missing_requests_and_tokens_are_noticed(benchmarks):
    open_loop = benchmarks["open_loop"]
    served = benchmarks["w1"].serve(20)
    tokens = 20 * 128
    open_loop._check(served.requests, 20, tokens)
    with pytest.raises(open_loop.InvariantError, match="each of 21 requests once"):
        open_loop._check(served.requests, 21, tokens)
    with pytest.raises(open_loop.InvariantError, match="iterations 2559"):
        open_loop._check(served.requests, 20, tokens - 1)
