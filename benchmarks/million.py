"""Scale: a million requests over 64 replicas, and how time grows on the way there.

The shipped chat scenario with speculation, step times from the kernel tables, its measured traffic
scaled to 64 replicas; the requests trace is written, iterations are counted. Every run has a
process of its own.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import open_loop
from process import figures_of, peak_bytes
from yardstick import timeouts_per_s

from simulator.compose import compose
from simulator.scenario import build
from simulator.workload.presets import read_preset

REPLICAS = 64
REQUESTS = 1_000_000


def measure(*, requests: int = REQUESTS, replicas: int = REPLICAS) -> dict[str, float]:
    """Run the benchmark.

    Parameters
    ----------
    requests
        The largest run; an eighth, a quarter and a half of it run before.
    replicas
        How many serve.

    Returns
    -------
    dict
        ``cpu_s_{requests}`` of each run; ``exponent`` of time against requests; the line
        ``fit_fixed_s + fit_s_per_request * requests``, least squares of relative errors, and
        ``fit_worst_error``, the largest of these. Of the largest run ``peak_bytes``, ``iterations``
        and ``iterations_per_s``.
    """
    counts = [requests // 8, requests // 4, requests // 2, requests]
    figures = {"simpy_timeouts_per_s": timeouts_per_s()}
    cpu_s = []
    for count in counts:
        run = figures_of("million.py", str(count), str(replicas))
        cpu_s.append(run["cpu_s"])
        figures[f"cpu_s_{count}"] = run["cpu_s"]
    figures |= {name: run[name] for name in ("peak_bytes", "iterations", "events")}
    figures["iterations_per_s"] = run["iterations"] / run["cpu_s"]
    return figures | fit(counts, cpu_s)


def fit(requests: list[int], cpu_s: list[float]) -> dict[str, float]:
    """Fit a line and a power law to time against requests; see `measure`.

    Examples
    --------
    >>> found = fit([100, 200, 400], [2.0, 3.0, 5.0])
    >>> round(found["fit_fixed_s"], 6), round(found["fit_s_per_request"], 6)
    (1.0, 0.01)
    """
    x, y = np.array(requests, float), np.array(cpu_s)
    slope, fixed = np.polyfit(x, y, 1, w=1 / y)
    return {
        "exponent": float(np.polyfit(np.log(x), np.log(y), 1)[0]),
        "fit_fixed_s": float(fixed),
        "fit_s_per_request": float(slope),
        "fit_worst_error": float(np.abs((fixed + slope * x) / y - 1).max()),
    }


def serve(requests: int, replicas: int) -> open_loop.Served:
    """Serve the chat scenario scaled to a number of replicas."""
    rate = replicas * read_preset("chat").rate
    config = compose(
        [
            f"hardware.replicas={replicas}",
            f"workload.rate={rate}",
            f"run.requests={requests}",
        ]
    )
    scenario = build(config)
    deployment = scenario.deployment(config.speculation.gamma)
    return open_loop.run(scenario, deployment, iterations_trace=False)


def _figures(requests: int, replicas: int) -> dict[str, float]:
    served = serve(requests, replicas)
    return {
        "cpu_s": served.cpu_s,
        "peak_bytes": peak_bytes(),
        "iterations": served.iterations,
        "events": served.events,
    }


if __name__ == "__main__":
    print(json.dumps(_figures(int(sys.argv[1]), int(sys.argv[2]))))
