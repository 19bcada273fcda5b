"""A summary as `summarise` makes it, and a way to read what is printed."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

Json = dict[str, Any]

_ARM = {
    "ttft_s": {"p50": 0.1464, "p90": 0.4138, "p99": 0.8042},
    "tpot_s": {"p50": 0.04436, "p90": 0.05709, "p99": 0.0745},
    "e2e_s": {"p50": 6.756, "p90": 19.94, "p99": 25.37},
    "output_tokens_per_s": 385.0,
    "requests_per_s": 1.845,
    "mean_batch": 17.43,
    "mean_context_tokens": 1369.0,
    "active_experts": 55.6,
    "step_s": 0.0334,
    "utilisation": 0.9251,
    "mean_acceptance_length": 1.0,
    "completed": 12500,
    "rejected": 0,
    "measured": 11361,
    "saturated": False,
    "intervals": {},
}


def _interval(value: float) -> Json:
    return {"value": value, "low": 0.98 * value, "high": 1.02 * value}


@pytest.fixture
def summary() -> Json:
    """A run in which speculation pays in TPOT and E2E latency and costs in TTFT."""
    speculative = copy.deepcopy(_ARM) | {
        "ttft_s": {"p50": 0.1716, "p90": 0.4664, "p99": 0.9103},
        "tpot_s": {"p50": 0.0244, "p90": 0.03322, "p99": 0.04846},
        "e2e_s": {"p50": 3.969, "p90": 11.1, "p99": 14.87},
        "mean_batch": 9.75,
        "active_experts": 61.7,
        "step_s": 0.0461,
        "mean_acceptance_length": 2.46,
    }
    ratios = {"throughput": 1.0, "ttft_p50": 0.85, "tpot_p50": 1.82, "e2e_p50": 1.7}
    ratios |= {"ttft_p90": 0.89, "tpot_p90": 1.72, "e2e_p90": 1.8}
    ratios |= {"ttft_p99": 0.88, "tpot_p99": 1.54, "e2e_p99": 1.71}
    return {
        "speedup": {key: _interval(value) for key, value in ratios.items()},
        "baseline": copy.deepcopy(_ARM),
        "speculative": speculative,
        "mean_acceptance_length": 2.46,
        "target_efficiency": 0.777,
        "replications": 5,
        "warnings": [],
        "scenario": {
            "title": "Chat on a small A100 deployment",
            "model": "Qwen2-57B-A14B",
            "hardware": "2 x NVIDIA A100 SXM 80 GB, TP 2",
            "workload": "chat, after the Azure conversation trace of 2023, 2 requests/s",
            "speculation": "Qwen2-0.5B, gamma 3",
            "gamma": 3,
            "requests": 2500,
            "replications": 5,
            "seed": 0,
        },
        "decomposition": {
            "batch": 9.75,
            "gamma": 3,
            "sigma": 0.615,
            "expected_tokens_per_round": 2.46,
            "draft_ratio": 0.24,
            "verify_ratio": 1.29,
            "rejection_ratio": 0.02,
            "target_efficiency": 0.777,
            "speedup": 1.59,
        },
        "assumptions": [
            "drafts of Qwen2-0.5B are accepted with rate 0.68 at every position, on every request",
            "tokens route to experts independently and uniformly",
        ],
        "files": {"requests": "runs/1/requests.parquet", "summary": "runs/1/summary.json"},
    }


@pytest.fixture
def printed() -> Callable[..., str]:
    """Return what is printed to a console that is no terminal, line ends trimmed."""

    def capture(show: Callable[..., None], *arguments: object, width: int = 80) -> str:
        console = Console(file=io.StringIO(), width=width)
        show(*arguments, console)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    return capture
