"""Latencies of requests, as the field defines them (`simulator.trace.definitions`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.trace.read import Columns

QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
"""The percentiles that are reported."""

LATENCIES = ("ttft_s", "tpot_s", "e2e_s")
"""The latencies that are compared between the arms."""

TIMES = (*LATENCIES, "ttft_from_admission_s", "queue_s")
"""All times of a request that are reported."""

Samples = np.ndarray[Any, np.dtype[np.float64]]
"""One latency, s, of several requests, of shape ``[requests]``."""


def times_s(requests: Columns) -> dict[str, Samples]:
    """Return the times of all requests by name, NaN where one did not happen.

    Only finished requests have latencies; one that never came in has no time in the queue.
    Definitions: `simulator.trace.definitions.TIME_DEFINITIONS`.
    """
    arrival_s, admitted_s = requests["arrival_s"], requests["admitted_s"]
    finish_s = requests["finish_s"]
    # A request that left before its last token has no latency, though it may have a first token.
    first_s = np.where(np.isnan(finish_s), np.nan, requests["first_token_s"])
    later_tokens = requests["output_tokens"] - 1.0
    later_tokens[later_tokens <= 0.0] = np.nan
    return {
        "ttft_s": first_s - arrival_s,
        "tpot_s": (finish_s - first_s) / later_tokens,
        "e2e_s": finish_s - arrival_s,
        "ttft_from_admission_s": first_s - admitted_s,
        "queue_s": admitted_s - arrival_s,
    }


def happened(values: Samples) -> Samples:
    """Return the times that are there.

    Examples
    --------
    >>> happened(np.array([1.0, np.nan, 3.0])).tolist()
    [1.0, 3.0]
    """
    return values[~np.isnan(values)]


def latencies(requests: Columns, start_s: float) -> dict[str, Samples]:
    """Return the times, by name, of the requests that arrive from a time on."""
    kept = requests["arrival_s"] >= start_s
    return {name: happened(values[kept]) for name, values in times_s(requests).items()}


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


def percentiles(samples: Samples, *, hidden: bool = False) -> dict[str, float | None]:
    """Return the percentiles that are reported, None where too few samples stand behind one.

    Parameters
    ----------
    samples
        What they are percentiles of.
    hidden
        Withhold them all.

    Examples
    --------
    >>> percentiles(np.arange(201.0))
    {'p50': 100.0, 'p90': None, 'p99': None}
    """
    return {
        label: percentile(samples, q) if enough(samples.size, q) and not hidden else None
        for label, q in QUANTILES.items()
    }
