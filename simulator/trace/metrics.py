"""Metrics of every run in a trace, from the trace alone.

Latencies follow the field (vLLM's ``benchmarks/serve.py`` uses the same):

- TTFT = first_token_s - arrival_s,
- TPOT = (finish_s - first_token_s) / (output_tokens - 1), for two output tokens or more,
- E2E latency = finish_s - arrival_s,

over the finished requests that arrive in the window (:mod:`simulator.trace.windows`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.trace.load import Load, loads, ratio
from simulator.trace.read import Columns, Run, chunks
from simulator.trace.saturation import is_saturated
from simulator.trace.windows import Window, windows

QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
"""The percentiles that are reported."""

LATENCIES = ("ttft_s", "tpot_s", "e2e_s")
"""The latencies that are reported."""

Samples = np.ndarray[Any, np.dtype[np.float64]]
"""One latency of every measured request, s, of shape ``[requests]``."""

_COLUMNS = (
    "arrival_s",
    "admitted_s",
    "first_token_s",
    "finish_s",
    "output_tokens",
    "rounds",
    "accepted_draft_tokens",
    "preemptions",
)


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """What one run (one arm of one replication) showed.

    Parameters
    ----------
    latencies
        Samples by name: ``ttft_s``, ``tpot_s``, ``e2e_s``.
    window, load
        The measured stretch and the replicas' work in it.
    requests_per_s
        Requests finished per second of the window; None for an empty window.
    completed, rejected
        Requests of the whole run.
    rounds, accepted_draft_tokens
        Sums over the measured requests.
    preemptions, preempted
        How often requests of the whole run lost their KV blocks, and how many requests did.
    saturated
        Whether it was overloaded (:mod:`simulator.trace.saturation`).
    """

    latencies: dict[str, Samples]
    window: Window
    load: Load
    requests_per_s: float | None
    completed: int
    rejected: int
    rounds: int
    accepted_draft_tokens: int
    preemptions: int
    preempted: int
    saturated: bool

    @property
    def mean_acceptance_length(self) -> float | None:
        """Tokens a round emits: 1 + accepted draft tokens / rounds."""
        return ratio(self.rounds + self.accepted_draft_tokens, self.rounds)


def measure(
    requests_path: Path | str, iterations_path: Path | str, warmup_fraction: float
) -> dict[Run, RunMetrics]:
    """Measure every run of a trace.

    Memory grows with the number of requests (eight columns of them), not of iterations.

    Parameters
    ----------
    requests_path, iterations_path
        The two files of the trace.
    warmup_fraction
        Share of the arrivals' span that is cut, in [0, 1).

    Raises
    ------
    DataError
        If a file is not a complete trace of its table.
    ConfigError
        If the fraction is outside [0, 1).
    """
    requests = read_requests(requests_path)
    spans = windows(requests, warmup_fraction)
    work = loads(iterations_path, spans)
    return {run: _measure(columns, work[run]) for run, columns in requests.items()}


def read_requests(path: Path | str) -> dict[Run, Columns]:
    """Read the columns of the requests that metrics need, by run, runs in file order.

    Raises
    ------
    DataError
        If the file is not a trace of requests.
    """
    found: dict[Run, list[Columns]] = {}
    for run, rows in chunks(path, "requests", _COLUMNS):
        found.setdefault(run, []).append(rows)
    return {
        run: {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
        for run, parts in found.items()
    }


def latencies(requests: Columns, start_s: float) -> dict[str, Samples]:
    """Return TTFT, TPOT and E2E latency of the finished requests that arrive from a time on."""
    kept = _kept(requests, start_s)
    first_s, finish_s = requests["first_token_s"][kept], requests["finish_s"][kept]
    later_tokens = requests["output_tokens"][kept] - 1
    long = later_tokens > 0
    return {
        "ttft_s": first_s - requests["arrival_s"][kept],
        "tpot_s": (finish_s - first_s)[long] / later_tokens[long],
        "e2e_s": finish_s - requests["arrival_s"][kept],
    }


def percentile(samples: Samples, quantile: float) -> float | None:
    """Return a percentile, or None if there are no samples.

    Linear interpolation between order statistics (Hyndman and Fan's type 7).
    """
    return float(np.quantile(samples, quantile)) if samples.size else None


def enough(samples: int, quantile: float) -> bool:
    """Tell whether a percentile may be printed: from 100 / (1 - quantile) samples on.

    So that about a hundred samples lie beyond it: p50 needs 200, p90 1,000, p99 10,000.

    Examples
    --------
    >>> [enough(1000, q) for q in (0.5, 0.9, 0.99)]
    [True, True, False]
    """
    return samples * (1.0 - quantile) >= 100.0 * (1.0 - 1e-9)  # 1 - 0.9 falls short of 0.1


def _kept(requests: Columns, start_s: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    kept: np.ndarray[Any, np.dtype[np.bool_]] = (requests["arrival_s"] >= start_s) & ~np.isnan(
        requests["finish_s"]
    )
    return kept


def _measure(requests: Columns, load: Load) -> RunMetrics:
    window, finish_s = load.window, requests["finish_s"]
    kept = _kept(requests, window.start_s)
    finished = (finish_s > window.start_s) & (finish_s <= window.end_s)
    rejected = int(np.isnan(finish_s).sum())
    return RunMetrics(
        latencies=latencies(requests, window.start_s),
        window=window,
        load=load,
        requests_per_s=ratio(int(finished.sum()), window.length_s),
        completed=finish_s.size - rejected,
        rejected=rejected,
        rounds=int(requests["rounds"][kept].sum()),
        accepted_draft_tokens=int(requests["accepted_draft_tokens"][kept].sum()),
        preemptions=int(requests["preemptions"].sum()),
        preempted=int((requests["preemptions"] > 0).sum()),
        saturated=is_saturated(load),
    )
