"""Distributions of latency, speculation off and on."""

from __future__ import annotations

import numpy as np

from simulator.report.html.blocks import Section, charts, section
from simulator.report.html.chart import Axis, Chart, Line, Rule
from simulator.report.html.run.source import RunSource
from simulator.report.plots import ARM_STYLES, pooled_latencies
from simulator.trace.latencies import LATENCIES, Samples
from simulator.trace.schema import ARMS

_NAMES = {
    "ttft_s": ("Time to first token", "From arrival to the first output token, queue included."),
    "tpot_s": ("Time per output token", "Mean time between the later tokens of a request."),
    "e2e_s": ("End-to-end latency", "From arrival to the last output token."),
}

_TAIL = 1.0 - np.geomspace(0.05, 1e-4, 40)
_SHARES = np.unique(np.concatenate([np.linspace(0.0, 0.95, 160), _TAIL, [1.0]]))
"""Quantiles drawn, denser in the tail; as many whatever the number of requests."""


def latency_section(source: RunSource) -> Section | None:
    """Return the distribution functions of TTFT, TPOT and E2E latency."""
    samples = pooled_latencies(source.tables["requests"], source.warmup_fraction)
    slo = source.summary.get("slo") or {}
    found = [
        _chart(name, {arm: samples[arm][name] for arm in ARMS}, slo.get(name)) for name in LATENCIES
    ]
    return section("latency", "Latency", charts(found))


def _chart(name: str, samples: dict[str, Samples], bound_s: float | None) -> Chart | None:
    lines = [
        Line(
            name=ARM_STYLES[arm][0],
            x=np.quantile(values, _SHARES).tolist(),
            y=_SHARES.tolist(),
            colour=ARM_STYLES[arm][1],
        )
        for arm, values in samples.items()
        if values.size
    ]
    if not lines:
        return None
    title, meaning = _NAMES[name]
    short = name.removesuffix("_s").upper()
    positive = all(values.min() > 0.0 for values in samples.values() if values.size)
    return Chart(
        key=f"latency-{short.lower()}",
        title=f"{title} ({short})",
        caption=f"{meaning} Share of the measured requests that are served within a time, "
        "replications pooled; further left is better.",
        x=Axis(title=short, unit="seconds", scale="log" if positive else "linear"),
        y=Axis(title="share of requests", unit="percent", bounds=(0.0, 1.02)),
        series=lines,
        rules=[Rule(at=bound_s, label="SLO", vertical=True)] if bound_s else [],
    )
