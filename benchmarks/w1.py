"""W1: the workload on which simulators of LLM serving are compared, against Dynamo's Rust replay.

Poisson arrivals at 80 requests/s over 4 replicas, prompts of 512 and outputs of 128 tokens, no
speculation, no shared prefixes, paged KV cache, chunked prefill. Step times, KV cache, limits and
router are the peer's defaults (`peer_times`), so that both simulate the same thing. Every run has a
process of its own, and the two simulators take turns.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import replace

import numpy as np
import open_loop
import peer
from peer_times import BLOCK_TOKENS, KV_BLOCKS, PeerTimes
from process import figures_of, peak_bytes
from yardstick import timeouts_per_s

from simulator.compose import compose
from simulator.config import Config
from simulator.scenario import build

SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
REPLICAS, REQUESTS_PER_S = 4, 80.0
BOTH = "both"
"""Word of the command line that asks for the table of iterations, too."""

Runs = list[dict[str, float]]


def measure(*, rounds: int = 3, sizes: dict[str, int] = SIZES) -> dict[str, float]:
    """Run the benchmark.

    Parameters
    ----------
    rounds
        Turns at every size; figures are medians over them.
    sizes
        Requests, by the name that they have in the figures.

    Returns
    -------
    dict
        ``requests_per_s_{size}`` and ``peer_requests_per_s_{size}``, per CPU second, with the
        requests trace on and iterations counted; ``traced_requests_per_s_{size}`` with both tables
        written. ``exponent`` of CPU time against requests. Of the largest size ``over_peer``,
        ``over_simpy``, ``peak_bytes``, ``peer_peak_bytes``, ``iterations``,
        ``events_per_request``, and mean TTFT and TPOT over the peer's. The peer's rows are left out
        where `peer.PYTHON_VARIABLE` is not set.
    """
    python = peer.python()
    if python is None:
        print(f"w1: without the peer, as {peer.PYTHON_VARIABLE} is not set.", file=sys.stderr)
    figures, cpu_s = {"simpy_timeouts_per_s": timeouts_per_s()}, []
    for size, requests in sizes.items():
        ours, traced, theirs = _take_turns(requests, rounds, python)
        cpu_s.append(_median(ours, "cpu_s"))
        figures[f"requests_per_s_{size}"] = requests / cpu_s[-1]
        figures[f"traced_requests_per_s_{size}"] = requests / _median(traced, "cpu_s")
        if theirs:
            figures[f"peer_requests_per_s_{size}"] = requests / _median(theirs, "cpu_s")
        largest = _comparison(ours, theirs)
    figures["exponent"] = exponent(list(sizes.values()), cpu_s)
    return figures | largest


def exponent(requests: list[int], cpu_s: list[float]) -> float:
    """Return the slope of log time over log requests, least squares.

    Examples
    --------
    >>> round(exponent([10, 100, 1000], [1.0, 10.0, 100.0]), 12)
    1.0
    """
    return float(np.polyfit(np.log(requests), np.log(cpu_s), 1)[0])


def configuration(requests: int) -> Config:
    """Compose W1 with a number of requests."""
    return compose(
        [
            "workload=chat",
            f"workload.rate={REQUESTS_PER_S}",
            "workload.arrivals=poisson",
            "workload.prompt_tokens=512",
            "workload.output_tokens=128",
            "speculation.gamma=0",
            "scheduler.router=round_robin",
            f"hardware.replicas={REPLICAS}",
            f"run.requests={requests}",
        ]
    )


def serve(requests: int, *, iterations_trace: bool = False) -> open_loop.Served:
    """Serve W1 with the peer's step times and KV cache."""
    scenario = build(configuration(requests))
    deployment = replace(
        scenario.deployment(0),
        costs=[PeerTimes()],
        kv_capacity_tokens=KV_BLOCKS * BLOCK_TOKENS,
        block_tokens=BLOCK_TOKENS,
    )
    return open_loop.run(scenario, deployment, iterations_trace=iterations_trace)


def _take_turns(requests: int, rounds: int, python: str | None) -> tuple[Runs, Runs, Runs]:
    """Run ours, ours with all iterations written, and the peer, in turns."""
    ours: Runs = []
    traced: Runs = []
    theirs: Runs = []
    for _ in range(rounds):
        ours.append(figures_of("w1.py", str(requests)))
        traced.append(figures_of("w1.py", str(requests), BOTH))
        if python is not None:
            theirs.append(peer.replay(python, requests))
    return ours, traced, theirs


def _comparison(ours: Runs, theirs: Runs) -> dict[str, float]:
    figures = {
        "iterations": ours[0]["iterations"],
        "events_per_request": ours[0]["events_per_request"],
        "over_simpy": statistics.median(run["over_simpy"] for run in ours),
        "peak_bytes": max(run["peak_bytes"] for run in ours),
    }
    if theirs:
        figures |= {
            "over_peer": _median(theirs, "cpu_s") / _median(ours, "cpu_s"),
            "peer_peak_bytes": max(run["peak_bytes"] for run in theirs),
            "ttft_over_peer": ours[0]["ttft_s"] / theirs[0]["ttft_s"],
            "tpot_over_peer": ours[0]["tpot_s"] / theirs[0]["tpot_s"],
        }
    return figures


def _median(runs: Runs, figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


def _figures(requests: int, *, iterations_trace: bool) -> dict[str, float]:
    """Serve W1 in this process."""
    simpy_per_s = timeouts_per_s()
    served = serve(requests, iterations_trace=iterations_trace)
    ttft_s, tpot_s = open_loop.mean_latencies_s(served.requests)
    return {
        "cpu_s": served.cpu_s,
        "over_simpy": requests / served.cpu_s / simpy_per_s,
        "peak_bytes": peak_bytes(),
        "iterations": served.iterations,
        "events_per_request": served.events / requests,
        "ttft_s": ttft_s,
        "tpot_s": tpot_s,
    }


if __name__ == "__main__":
    print(json.dumps(_figures(int(sys.argv[1]), iterations_trace=BOTH in sys.argv)))
