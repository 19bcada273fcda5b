"""The peer of W1: the offline replay of NVIDIA Dynamo's mocker, in Rust.

It runs in a Python of its own, which imports nothing but the standard library and the peer:
``pip install --no-deps ai-dynamo-runtime==1.6.1 ai-dynamo==1.6.1`` beside ``pydantic uvloop msgspec
typing-extensions``. Nothing is downloaded and no port is opened.
"""

from __future__ import annotations

import json
import os
import sys
from time import process_time

from process import figures_of, peak_bytes

PYTHON_VARIABLE = "MOESIM_PEER_PYTHON"
"""Environment variable that names a Python in which the peer is installed."""


def python() -> str | None:
    """Return the peer's Python, None where none is named."""
    return os.environ.get(PYTHON_VARIABLE) or None


def replay(python: str, requests: int) -> dict[str, float]:
    """Replay W1 in a process of its own; return what `_replay` says."""
    return figures_of("peer.py", str(requests), python=python)


def _replay(requests: int) -> dict[str, float]:
    """Replay W1 here.

    Returns
    -------
    dict
        ``cpu_s`` of the process, all threads, without imports; ``peak_bytes``, and the mean
        ``ttft_s`` and ``tpot_s`` of what was simulated.
    """
    from dynamo._core import run_mocker_synthetic_trace_replay  # noqa: PLC0415 - of another Python

    began = process_time()
    summary = run_mocker_synthetic_trace_replay(
        512,
        128,
        requests,
        extra_engine_args={"engine": {"enable_prefix_caching": False}},
        num_workers=4,
        request_rate=80.0,
    ).summary
    spent_s = process_time() - began
    if summary["completed_requests"] != requests:
        raise SystemExit(f"the peer completed {summary['completed_requests']} of {requests}.")
    return {
        "cpu_s": spent_s,
        "peak_bytes": peak_bytes(),
        "ttft_s": summary["mean_ttft_ms"] / 1e3,
        "tpot_s": summary["mean_tpot_ms"] / 1e3,
    }


if __name__ == "__main__":
    print(json.dumps(_replay(int(sys.argv[1]))))
