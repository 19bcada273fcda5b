"""Rows of the table on screen that a changing cluster adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simulator.report.figures import factor, number, percent
from simulator.trace.schema import ARMS

Json = Mapping[str, Any]

_ROWS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("replicas, mean", "mean_replicas", number),
    ("replicas, most", "most_replicas", number),
    ("GPU hours", "gpu_hours", number),
    ("saved by scaling", "saved", percent),
    ("replicas lost", "losses", number),
    ("attempts lost", "lost_attempts", number),
)
"""Label, key in `trace.fleet.summarise_fleet`, and format."""

_ONLY_IF_ANY = {"saved by scaling": "starts", "replicas lost": "losses", "attempts lost": "losses"}
"""Rows that say nothing unless something else was counted."""


def cluster_rows(summary: Json) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a changing cluster: label, both arms, and the ratio of GPU hours."""
    cluster = summary.get("cluster")
    if not cluster:
        return
    for label, key, write in _ROWS:
        needed = _ONLY_IF_ANY.get(label)
        if needed and not any(cluster[arm][needed] for arm in ARMS):
            continue
        values = [cluster[arm][key] for arm in ARMS]
        ratio = (factor(values[0] / values[1]),) if key == "gpu_hours" and all(values) else ()
        yield (label, *(write(value) for value in values), *ratio)
