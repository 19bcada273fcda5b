"""Whether memory grows with the length of a run: peak resident memory of N and of 10 N requests.

Each run has a process of its own. N is large enough that the short run has filled every buffer:
more rows than a trace block in both tables.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import closed_loop

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
    short, long = (_peak_bytes_of_process(count) for count in (requests, 10 * requests))
    return {
        "requests": float(requests),
        "short_peak_bytes": short,
        "long_peak_bytes": long,
        "growth_ratio": long / short,
        "growth_bytes_per_request": (long - short) / (9 * requests),
    }


def _peak_bytes_of_process(requests: int) -> float:
    command = [sys.executable, __file__, str(requests)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak_bytes(requests: int) -> float:
    """Serve with speculation and the trace on; return the peak resident memory of this process."""
    with TemporaryDirectory() as folder:
        scenario = build(closed_loop.full_batch(OUTPUT_TOKENS, requests))
        closed_loop.serve(scenario, "speculative", Path(folder))
    status = Path("/proc/self/status")
    if not status.exists():  # macOS; its getrusage counts bytes
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    # Linux's getrusage would count the process that started this one, too.
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) * 1024


if __name__ == "__main__":
    print(_peak_bytes(int(sys.argv[1])))
