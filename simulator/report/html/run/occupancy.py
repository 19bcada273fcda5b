"""Queue, batch and KV cache over the time of a run."""

from __future__ import annotations

import numpy as np

from simulator.report.html.blocks import Section, charts, section
from simulator.report.html.chart import Axis, Chart, Line, Rule
from simulator.report.html.run.source import RunSource
from simulator.report.plots import ARM_STYLES
from simulator.report.timeline import BINS
from simulator.trace.metrics import read_requests
from simulator.trace.schema import ARMS
from simulator.trace.timeline import Timeline, timelines
from simulator.trace.windows import windows

_PANELS = {
    "waiting": ("Waiting requests", "Requests in the queues of all replicas.", "number"),
    "decoding": ("Decoding requests", "Requests that decode on all replicas together.", "number"),
    "kv_usage": ("KV cache", "Share of the KV blocks that are taken on busy replicas.", "percent"),
}


def occupancy_section(source: RunSource) -> Section | None:
    """Return the three charts over time: mean and range over replications of both arms."""
    requests = read_requests(source.tables["requests"])
    end_s = max((float(rows["left_s"].max()) for rows in requests.values()), default=0.0)
    if end_s <= 0.0:
        return None
    found = timelines(source.tables["iterations"], end_s, BINS)
    spans = windows(requests, source.warmup_fraction).values()
    measured = [
        Rule(
            at=float(np.median([getattr(span, bound) for span in spans])),
            label=label,
            vertical=True,
        )
        for bound, label in (("start_s", "measured from"), ("end_s", "measured to"))
    ]
    by_arm = {arm: [timeline for run, timeline in found.items() if run.arm == arm] for arm in ARMS}
    return section(
        "time",
        "Over time",
        charts(_chart(name, by_arm, measured, end_s) for name in _PANELS),
    )


def _chart(
    name: str, arms: dict[str, list[Timeline]], measured: list[Rule], end_s: float
) -> Chart | None:
    lines = [_line(arm, runs, name) for arm, runs in arms.items() if runs]
    if not lines:
        return None
    title, meaning, unit = _PANELS[name]
    return Chart(
        key=f"time-{name.replace('_', '-')}",
        title=title,
        caption=f"{meaning} Lines and bands: mean and range over replications.",
        x=Axis(title="time (s)", bounds=(0.0, end_s)),
        y=Axis(title=title.lower() if unit == "number" else "blocks taken", unit=unit),
        series=lines,
        rules=measured,
        shared_x=True,
        wide=True,
    )


def _line(arm: str, runs: list[Timeline], name: str) -> Line:
    values = np.array([getattr(run, name) for run in runs])
    edges_s = runs[0].edges_s
    label, colour = ARM_STYLES[arm]
    several = len(runs) > 1
    return Line(
        name=label,
        x=((edges_s[:-1] + edges_s[1:]) / 2).tolist(),
        y=values.mean(axis=0).tolist(),
        low=values.min(axis=0).tolist() if several else None,
        high=values.max(axis=0).tolist() if several else None,
        colour=colour,
    )
