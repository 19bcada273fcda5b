"""What a cluster cost and lost, from its events: replica-seconds, GPU hours, losses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.trace.json_file import json_safe
from simulator.trace.load import ratio
from simulator.trace.read import open_trace
from simulator.units import HOUR_S

_OPENING, _CLOSING = ("start", "ready"), ("stop", "lost", "end")


class Event(NamedTuple):
    """A row of the table of events, as `trace.schema.EVENTS` says."""

    time_s: float
    event: str
    replica: int
    gpus: int
    requests: int = 0
    lost_tokens: int = 0


@dataclass(slots=True)
class FleetUse:
    """The replicas of one run.

    Parameters
    ----------
    replica_s, gpu_s
        Time for which replicas, and their GPUs, were paid for: from start, or from ready where no
        start came before, until stop, lost or end.
    duration_s
        Length of the run.
    most_replicas
        Most that were paid for at once.
    starts, losses
        Replicas started on the way, and lost.
    lost_attempts, lost_tokens
        Attempts at requests that losses cut off, and output tokens emitted in them.
    """

    replica_s: float = 0.0
    gpu_s: float = 0.0
    duration_s: float = 0.0
    most_replicas: int = 0
    starts: int = 0
    losses: int = 0
    lost_attempts: int = 0
    lost_tokens: int = 0


def fleet_use(events: Iterable[Event]) -> FleetUse:
    """Add up the events of one run, in the order of time.

    Examples
    --------
    >>> use = fleet_use([Event(1, "start", 0, 2), Event(3, "ready", 0, 2), Event(9, "stop", 0, 2)])
    >>> use.replica_s, use.gpu_s
    (8.0, 16.0)
    """
    use = FleetUse()
    since_s: dict[int, float] = {}
    for event in events:
        use.duration_s = max(use.duration_s, event.time_s)
        if event.event in _OPENING:
            since_s.setdefault(event.replica, event.time_s)
            use.most_replicas = max(use.most_replicas, len(since_s))
            use.starts += event.event == "start"
        elif event.event in _CLOSING:
            paid_s = event.time_s - since_s.pop(event.replica)
            use.replica_s += paid_s
            use.gpu_s += paid_s * event.gpus
        if event.event == "lost":
            use.losses += 1
            use.lost_attempts += event.requests
            use.lost_tokens += event.lost_tokens
    return use


def summarise_fleet(path: Path | str) -> dict[str, dict[str, float | None]]:
    """Summarise the table of events by arm, means over the replications.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        By arm the figures of `FleetUse`, ``mean_replicas`` (paid for, over the run), ``gpu_hours``,
        and ``saved``: the share of GPU time less than with the most replicas all the time.

    Raises
    ------
    DataError
        If the file is not a complete trace of events.
    """
    runs: dict[tuple[str, int], list[Event]] = defaultdict(list)
    with open_trace(path, "events") as file:
        for row in file.read().to_pylist():
            run = row.pop("arm"), row.pop("replication")
            runs[run].append(Event(**row))
    arms: dict[str, list[FleetUse]] = defaultdict(list)
    for (arm, _), events in runs.items():
        arms[arm].append(fleet_use(events))
    return {arm: json_safe(_means(uses)) for arm, uses in arms.items()}


def _means(uses: list[FleetUse]) -> dict[str, float | None]:
    means: dict[str, float | None] = {
        field.name: float(np.mean([getattr(use, field.name) for use in uses]))
        for field in fields(FleetUse)
    }
    total = {key: sum(asdict(use)[key] for use in uses) for key in ("replica_s", "duration_s")}
    most_s = sum(use.most_replicas * use.duration_s for use in uses)
    used = ratio(total["replica_s"], most_s)
    return means | {
        "mean_replicas": ratio(total["replica_s"], total["duration_s"]),
        "gpu_hours": float(np.mean([use.gpu_s for use in uses])) / HOUR_S,
        "saved": None if used is None else 1.0 - used,
    }
