"""Links as counters of how busy they are, and changes of the cluster as marks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simulator.trace.perfetto.document import whole_ns
from simulator.trace.perfetto.events import counter_event, instant_event
from simulator.trace.perfetto.places import CLUSTER, Places
from simulator.trace.perfetto.window import Floats, TimeWindow
from simulator.trace.read import Columns, Run, chunks
from simulator.trace.schema import EVENT_NAMES

LINK_COLUMNS = ("start_s", "duration_s", "replica", "link", "utilisation")
EVENT_COLUMNS = ("time_s", "event", "replica", "gpus", "requests", "lost_tokens")


def link_counts(rows: Columns) -> Floats:
    """Return how many events intervals of links make at most: a figure, and 0 after it."""
    return np.full(len(rows["start_s"]), 2.0)


def link_events(path: Path, run: Run, window: TimeWindow, places: Places) -> Iterator[str]:
    """Yield how busy the links of a run are; a link without an interval carries nothing."""
    ended_ns: dict[tuple[int, str], int] = {}
    for own, rows in chunks(path, "links", LINK_COLUMNS):
        if own != run:
            continue
        end_s = rows["start_s"] + rows["duration_s"]
        kept = window.overlaps(rows["start_s"], end_s)
        bounds_s = (window.clip(times_s[kept]).tolist() for times_s in (rows["start_s"], end_s))
        others = (rows[name][kept].tolist() for name in ("replica", "link", "utilisation"))
        for left_s, right_s, replica, link, utilisation in zip(*bounds_s, *others, strict=True):
            pid, key = places.pid(run, replica), (replica, link)
            start_ns = max(whole_ns(left_s), ended_ns.get(key, 0))
            if key in ended_ns and start_ns > ended_ns[key] + 1:
                yield _busy(pid, link, ended_ns[key], 0.0)
            yield _busy(pid, link, start_ns, utilisation)
            ended_ns[key] = max(start_ns, whole_ns(right_s))
    for (replica, link), time_ns in ended_ns.items():
        yield _busy(places.pid(run, replica), link, time_ns, 0.0)


def _busy(pid: int, link: str, time_ns: int, utilisation: float) -> str:
    return counter_event(pid, f"link {link}", time_ns, f'"percent":{100 * utilisation:.3f}')


def change_events(path: Path, run: Run, window: TimeWindow, places: Places) -> Iterator[str]:
    """Yield what happens to the cluster of a run: replicas that start, drain, fail; slow links."""
    for own, rows in chunks(path, "events", EVENT_COLUMNS):
        if own != run:
            continue
        kept = window.overlaps(rows["time_s"], rows["time_s"])
        for values in zip(*(rows[name][kept].tolist() for name in EVENT_COLUMNS), strict=True):
            time_s, event, replica, *counts = values
            told = ",".join(
                f'"{name}":{x}' for name, x in zip(EVENT_COLUMNS[3:], counts, strict=True)
            )
            pid = places.pid(run, replica if replica >= 0 else CLUSTER)
            yield instant_event(pid, EVENT_NAMES[event], whole_ns(time_s), told)
