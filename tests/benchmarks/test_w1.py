"""W1: the step times are the peer's, and the run is the one that both simulate."""

import json
from types import SimpleNamespace

import pytest

PEER_TTFT_S, PEER_TPOT_S = 0.03722, 0.01310
"""What Dynamo 1.6.1 itself says of 10,000 requests: mean TTFT and TPOT."""


def test_step_times_are_the_polynomial_of_the_peer(benchmarks):
    module = benchmarks["peer_times"]
    times = module.PeerTimes()
    for tokens in (513, 20_000, 700_000):
        window = times.decode_window(5, tokens)
        assert window.first_tokens <= tokens <= window.last_tokens
        decode_s = window.base_s + window.slope_s * tokens
        assert decode_s == pytest.approx(module.decode_s(tokens), rel=2e-4)
        mixed_s = times.mixed_s(5, tokens, [(0, 512), (0, 512)])
        assert mixed_s == pytest.approx(module.decode_s(tokens) + module.prefill_s(1024), rel=2e-4)
    assert times.mixed_s(0, 0, [(0, 512)]) == pytest.approx(module.prefill_s(512), rel=1e-3)


def test_latencies_are_those_that_the_peer_reports(benchmarks):
    """Within what 4,000 and 10,000 Poisson arrivals from other generators differ by."""
    served = benchmarks["w1"].serve(4000)
    ttft_s, tpot_s = benchmarks["open_loop"].mean_latencies_s(served.requests)
    assert ttft_s == pytest.approx(PEER_TTFT_S, rel=0.02)
    assert tpot_s == pytest.approx(PEER_TPOT_S, rel=0.03)


@pytest.mark.parametrize("iterations_trace", [False, True])
def test_a_run_takes_an_event_an_iteration_and_an_arrival(benchmarks, iterations_trace):
    served = benchmarks["w1"].serve(500, iterations_trace=iterations_trace)
    wakes_and_processes = served.events - served.iterations - 500
    assert 0 < wakes_and_processes < 50
    assert served.requests.num_rows == 500
    assert served.requests["output_tokens"].to_pylist() == [128] * 500


@pytest.fixture
def here(benchmarks, monkeypatch):
    """Run in this process what would have one of its own; the peer is made up."""
    w1, calls = benchmarks["w1"], []

    def figures_of(script, requests, *words):
        calls.append((script, int(requests), *words))
        return w1._figures(int(requests), iterations_trace=w1.BOTH in words)

    def replay(python, requests):
        calls.append((python, requests))
        return {"cpu_s": 10.0, "peak_bytes": 5e7, "ttft_s": 0.05, "tpot_s": 0.01}

    monkeypatch.setattr(w1, "figures_of", figures_of)
    monkeypatch.setattr(w1.peer, "replay", replay)
    monkeypatch.setattr(w1, "timeouts_per_s", lambda: 1e6)
    return calls


SIZES = {"small": 40, "large": 80}


def test_both_simulators_take_turns(benchmarks, here, monkeypatch):
    monkeypatch.setenv("MOESIM_PEER_PYTHON", "peer")
    figures = benchmarks["w1"].measure(rounds=2, sizes=SIZES)
    turn = [("w1.py", 40), ("w1.py", 40, "both"), ("peer", 40)]
    assert here[:6] == [*turn, *turn]
    assert figures["peer_requests_per_s_small"] == 4.0
    assert figures["peer_requests_per_s_large"] == 8.0
    assert figures["over_peer"] == pytest.approx(figures["requests_per_s_large"] / 8.0)
    assert figures["ttft_over_peer"] < 1 < figures["tpot_over_peer"] + 0.5
    assert figures["events_per_request"] > 2


def test_without_the_peer_its_rows_are_left_out(benchmarks, here, capsys):
    figures = benchmarks["w1"].measure(rounds=1, sizes=SIZES)
    assert "MOESIM_PEER_PYTHON is not set" in capsys.readouterr().err
    assert not [name for name in figures if "peer" in name]
    assert figures["requests_per_s_large"] > 0
    assert figures["traced_requests_per_s_large"] > 0
    assert 2e7 < figures["peak_bytes"] < 1e10
    assert -2 < figures["exponent"] < 3


def test_figures_come_back_from_a_process_of_their_own(benchmarks, tmp_path, monkeypatch):
    process = benchmarks["process"]
    (tmp_path / "script.py").write_text("import sys\nprint('{\"words\": %d}' % len(sys.argv))\n")
    monkeypatch.setattr(process, "__file__", str(tmp_path / "process.py"))
    assert process.figures_of("script.py", "one", "two") == {"words": 3}
    (tmp_path / "script.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(process.subprocess.CalledProcessError):
        process.figures_of("script.py")


def test_the_peer_needs_nothing_but_the_standard_library(benchmarks, monkeypatch):
    """It runs in a Python that has no moesim; here with a made-up peer in place of the real one."""
    peer, asked = benchmarks["peer"], {}

    summary = {"completed_requests": 7, "mean_ttft_ms": 37.0, "mean_tpot_ms": 13.0}

    def run(prompt, output, requests, **settings):
        asked.update(prompt=prompt, output=output, requests=requests, **settings)
        return SimpleNamespace(summary=summary)

    core = SimpleNamespace(run_mocker_synthetic_trace_replay=run)
    monkeypatch.setitem(peer.sys.modules, "dynamo", SimpleNamespace(_core=core))
    monkeypatch.setitem(peer.sys.modules, "dynamo._core", core)
    figures = peer._replay(7)
    assert (figures["ttft_s"], figures["tpot_s"]) == (0.037, 0.013)
    assert json.loads(json.dumps(figures)) == figures
    assert (asked["prompt"], asked["output"], asked["num_workers"]) == (512, 128, 4)
    assert asked["request_rate"] == benchmarks["w1"].REQUESTS_PER_S
    with pytest.raises(SystemExit, match="7 of 8"):
        peer._replay(8)
