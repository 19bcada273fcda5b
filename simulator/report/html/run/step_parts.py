"""Where the time of a step goes, at the batch and context that a run reached."""

from __future__ import annotations

from simulator.errors import SimulatorError
from simulator.report.figures import number, percent
from simulator.report.html.blocks import Paragraph, Section, charts, section
from simulator.report.html.chart import Axis, Bars, Chart
from simulator.report.html.run.source import RunSource
from simulator.report.parts import PART_COLOURS, in_order, part_name
from simulator.report.step_chart import step_bars
from simulator.report.verdict import verdict
from simulator.study.explain import Explanation, explain
from simulator.units import MS

_OTHER = "#c9c9c9"


def parts_section(source: RunSource) -> Section | None:
    """Return the parts of a plain step and of a round, and what they mean."""
    arm = source.summary["speculative"]
    if source.scenario is None or not arm.get("mean_batch"):
        return None
    batch, context = max(1, round(arm["mean_batch"])), max(1, round(arm["mean_context_tokens"]))
    try:
        explanation = explain(source.scenario, batch, context)
    except SimulatorError as error:  # a mean of bursts that no replica holds at once
        return section("parts", _TITLE, Paragraph(f"Not taken apart: {error}", quiet=True))
    terms = explanation.decomposition
    known = "Of a round's time {} is measured, {} fitted to measurements, {} assumed.".format(
        *map(percent, (terms.measured_share, terms.fitted_share, terms.assumed_share))
    )
    return section(
        "parts",
        _TITLE,
        charts([_chart(explanation)]),
        Paragraph(" ".join(verdict(explanation))),
        Paragraph(known, quiet=True) if terms.gamma else None,
    )


_TITLE = "Where the time goes"


def _chart(explanation: Explanation) -> Chart:
    bars, terms = step_bars(explanation), explanation.decomposition
    series = [
        Bars(
            name=part_name(part),
            labels=list(bars),
            values=[parts.get(part, 0.0) / MS for parts in bars.values()],
            colour=PART_COLOURS.get(part, _OTHER),
        )
        for part in in_order(part for parts in bars.values() for part in parts)
    ]
    return Chart(
        key="step-parts",
        title="A plain step, and the pieces of a round of speculation",
        caption=f"At batch {number(terms.batch)} and {number(terms.context_tokens)} tokens of "
        "context, the means of this run with speculation. A round is all bars but the first.",
        x=Axis(title="time (ms)"),
        y=Axis(title="", scale="category"),
        series=series,
        stacked=True,
        wide=True,
    )
