"""Whether memory grows with the length of a run: peak resident memory of N and of 10 N requests.

Each run has a process of its own. N is large enough that the short run has filled every buffer:
more rows than a trace block in both tables.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import closed_loop
from process import figures_of, peak_bytes

from simulator.scenario import build

OUTPUT_TOKENS = 256


def measure(*, requests: int = 40_000) -> dict[str, float]:
    """Run the benchmark.

    Parameters
    ----------
    requests
        N.

    Returns
    -------
    dict
        ``short_peak_bytes`` of N requests, ``long_peak_bytes`` of 10 N, ``growth_ratio``, their
        ratio, and ``growth_bytes_per_request``.
    """
    counts = (requests, 10 * requests)
    short, long = (figures_of("memory.py", str(count))["peak_bytes"] for count in counts)
    return {
        "requests": float(requests),
        "short_peak_bytes": short,
        "long_peak_bytes": long,
        "growth_ratio": long / short,
        "growth_bytes_per_request": (long - short) / (9 * requests),
    }


def _serve(requests: int) -> dict[str, float]:
    """Serve with speculation and the trace on; return the peak resident memory of this process."""
    with TemporaryDirectory() as folder:
        scenario = build(closed_loop.full_batch(OUTPUT_TOKENS, requests))
        closed_loop.serve(scenario, "speculative", Path(folder))
    return {"peak_bytes": peak_bytes()}


if __name__ == "__main__":
    print(json.dumps(_serve(int(sys.argv[1]))))
