"""The figures of a description: flat metrics, and curves as one long table in Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from simulator.study.workloads.describe import Description
from simulator.study.workloads.skew import TOP
from simulator.trace.parquet import ParquetStream

MOST_CLIENTS = 1000
"""So many of the busiest clients are in the table of curves."""


class Curve(NamedTuple):
    """One curve: where, how much, and both units."""

    at: NDArray[np.float64]
    value: NDArray[np.float64]
    at_unit: str
    unit: str


SCHEMA = pa.schema(
    [
        pa.field("figure", pa.dictionary(pa.int8(), pa.string()), metadata={"unit": "name"}),
        pa.field("at", pa.float64(), metadata={"unit": "see at_unit"}),
        pa.field("at_unit", pa.dictionary(pa.int8(), pa.string()), metadata={"unit": "name"}),
        pa.field("value", pa.float64(), metadata={"unit": "see unit"}),
        pa.field("unit", pa.dictionary(pa.int8(), pa.string()), metadata={"unit": "name"}),
    ]
)
"""Columns of the table of curves."""


def metrics(found: Description) -> dict[str, float | None]:
    """Return the figures of a description by flat name, each unit in its name.

    A figure that the workload does not determine (a CV of too few windows, reuse without prefix
    hashes, arrivals of a closed loop) is left out.
    """
    flat: dict[str, float | None] = {"requests": found.arrivals.requests}
    if found.open_loop:
        flat |= _arrivals(found)
    for name, lengths in (("prompt", found.prompt), ("output", found.output)):
        flat |= {f"{name}_tokens_{key}": value for key, value in lengths.figures().items()}
    for name, value in found.correlations.by_name().items():
        if found.open_loop or not name.startswith("gap"):
            flat[f"spearman_{name}"] = value
    if found.reuse.requests:
        flat |= _reuse(found)
    if found.clients.told_apart:
        flat["clients"] = len(found.clients.requests)
        flat |= {f"top_{n}_share": found.clients.top_share(n) for n in TOP}
        flat["clients_of_90_percent"] = found.clients.clients_of(0.9)
    return {name: value for name, value in flat.items() if value is not None}


def _arrivals(found: Description) -> dict[str, float | None]:
    arrivals = found.arrivals
    flat: dict[str, float | None] = {
        "span_s": arrivals.span_s,
        "rate": arrivals.rate,
        "gap_cv": arrivals.gap_cv,
        "together_share": arrivals.together / max(arrivals.requests - 1, 1),
    }
    for count in arrivals.counts:
        cv2 = count.cv2
        if cv2 is not None:
            flat[f"count_cv_{count.window_s:g}_s"] = float(np.sqrt(cv2))
            flat[f"fano_{count.window_s:g}_s"] = count.fano
    day = found.over_time.day()
    if day is not None:
        flat["day_peak_to_mean"] = float(day.max())
        flat["day_peak_to_trough"] = float(day.max() / day.min()) if day.min() else None
    return flat


def _reuse(found: Description) -> dict[str, float | None]:
    reuse = found.reuse
    flat: dict[str, float | None] = {
        f"reuse_{'unlimited' if size is None else f'{size}_tokens'}": reuse.share(size)
        for size in reuse.reused_tokens
    }
    flat["reuse_per_request"] = reuse.shares / found.arrivals.requests
    return flat


def curves(found: Description) -> dict[str, Curve]:
    """Return the curves of a description, by name."""
    drawn: dict[str, Curve] = {}
    if found.open_loop:
        counts = [count for count in found.arrivals.counts if count.cv2 is not None]
        windows_s = [count.window_s for count in counts]
        drawn["rate"] = Curve(*found.over_time.rate(), "s", "request/s")
        drawn["count_cv2"] = _curve(windows_s, [count.cv2 or 0.0 for count in counts], "s", "1")
        drawn["fano"] = _curve(windows_s, [count.fano or 0.0 for count in counts], "s", "1")
        day = found.over_time.day()
        if day is not None:
            drawn["day"] = _curve(np.arange(day.size), day, "hour", "mean rate")
    for name, lengths in (("prompt", found.prompt), ("output", found.output)):
        drawn[f"{name}_tokens_cdf"] = _curve(*lengths.cdf(), "token", "1")
    if found.reuse.requests:
        sizes = list(found.reuse.reused_tokens)
        drawn["reuse"] = _curve(
            [np.inf if size is None else size for size in sizes],
            [found.reuse.share(size) for size in sizes],
            "token",
            "1",
        )
    if found.clients.told_apart:
        shares = [n for _, n in found.clients.requests.most_common(MOST_CLIENTS)]
        total = found.clients.requests.total()
        drawn["clients"] = _curve(
            np.arange(1, len(shares) + 1), np.cumsum(shares) / total, "client", "1"
        )
    return drawn


def _curve(at: ArrayLike, value: ArrayLike, at_unit: str, unit: str) -> Curve:
    return Curve(np.asarray(at, np.float64), np.asarray(value, np.float64), at_unit, unit)


def write_curves(drawn: dict[str, Curve], path: Path, source: str) -> Path:
    """Write curves as one long table: figure, at, at_unit, value, unit.

    Parameters
    ----------
    drawn
        The curves by name.
    path
        The file to make.
    source
        What they are of, for the file metadata.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    stream = ParquetStream(path, SCHEMA.with_metadata({"moesim.workload": source}))
    for name, curve in drawn.items():
        columns: dict[str, Any] = {
            "figure": [name] * curve.at.size,
            "at": curve.at,
            "at_unit": [curve.at_unit] * curve.at.size,
            "value": curve.value,
            "unit": [curve.unit] * curve.at.size,
        }
        stream.write(
            pa.table({key: pa.array(column) for key, column in columns.items()}).cast(SCHEMA)
        )
    stream.finish()
    return path
