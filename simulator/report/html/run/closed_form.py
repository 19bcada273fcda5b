"""Speedup and target efficiency against the batch: the closed form at the setting of a run."""

from __future__ import annotations

import numpy as np

from simulator.report.html.blocks import Paragraph, Section, charts, section
from simulator.report.html.chart import COLOURS, Axis, Chart, Line, Rule
from simulator.report.html.run.source import RunSource
from simulator.report.html.run.steps import (
    Floats,
    mean_draft_length,
    simulated_speedup,
    steps_by_batch,
)
from simulator.report.plots import ARM_STYLES
from simulator.scenario import Scenario
from simulator.speculation.policies import FIXED
from simulator.study.decomposition import Decomposition, decompose, longest_proposed

_PER_OCTAVE = 3
"""Points of a curve where the batch doubles."""

_OTHERS = (1, 2, 4, 8)
"""Draft lengths drawn beside that of the run."""

_BATCH = Axis(title="batch (requests)", scale="doubling")
_CONTEXT_TOKENS = 1000.0
"""Context of a run in which nothing decoded."""


def batch_section(source: RunSource) -> Section | None:
    """Return speedup and target efficiency against the batch, with what the simulation did."""
    arms = steps_by_batch(source.tables["iterations"])
    where = source.summary["speculative"].get("mean_batch")
    rules = [Rule(at=where, label="mean batch of this run", vertical=True)] if where else []
    dots = _dots(*simulated_speedup(arms))
    policy = _policy_chart(source, *mean_draft_length(arms["speculative"]))
    if source.scenario is None:
        missing = Paragraph(f"No closed form: {source.problem}", quiet=True)
        return section("batch", "Against the batch", missing, charts([policy]))
    curves = _curves(source, source.scenario)
    colours = dict(zip(curves, COLOURS[1:], strict=False))
    lines = [_line(source, g, points, "speedup", colours[g]) for g, points in curves.items()]
    speedup = Chart(
        key="speedup-batch",
        title="Speedup at equal batch",
        caption="Tokens a second with speculation over those without, with as many requests "
        "decoding on a replica. Lines: the closed form of MoESD (arXiv 2505.19645, eq. 4) on the "
        "costs of this deployment, by draft length. Dots: steps of this simulation that only "
        "decode.",
        x=_BATCH,
        y=Axis(title="speedup (x)"),
        series=[*lines, *dots],
        rules=[*rules, Rule(at=1.0, label="no gain")],
    )
    efficient = [
        _line(source, g, points, "target_efficiency", colours[g]) for g, points in curves.items()
    ]
    efficiency = Chart(
        key="target-efficiency",
        title="Target efficiency",
        caption="The time of a plain step over that of a verify step: 1 means that verifying the "
        "drafts costs nothing. A Mixture-of-Experts model dips where few extra tokens wake extra "
        "experts, and recovers once all are awake anyway.",
        x=_BATCH,
        y=Axis(title="target efficiency"),
        series=efficient,
        rules=rules,
    )
    return section("batch", "Against the batch", charts([speedup, efficiency, policy]))


def _curves(source: RunSource, scenario: Scenario) -> dict[int, list[Decomposition]]:
    """Evaluate the closed form from batch 1 to the largest that a replica holds."""
    own, longest = (
        scenario.config.speculation.gamma,
        longest_proposed(scenario.step_model, scenario.acceptance),
    )
    lengths = sorted({own, *(gamma for gamma in _OTHERS if gamma <= longest)} - {0})
    context = source.summary["speculative"].get("mean_context_tokens") or _CONTEXT_TOKENS
    deployment = scenario.deployment(own)
    largest = min(deployment.limits.max_num_seqs, deployment.kv_capacity_tokens / context)
    octaves = max(float(np.log2(max(largest, 1.0))), 0.0)
    batches = np.exp2(np.linspace(0.0, octaves, max(2, round(_PER_OCTAVE * octaves) + 1)))
    model, acceptance = scenario.step_model, scenario.acceptance
    return {
        gamma: [decompose(model, acceptance, batch, context, gamma) for batch in batches.tolist()]
        for gamma in lengths
    }


def _line(
    source: RunSource, gamma: int, points: list[Decomposition], figure: str, colour: str
) -> Line:
    scenario = source.scenario
    own = scenario is not None and gamma == scenario.config.speculation.gamma
    return Line(
        name=f"gamma {gamma}" + (" (this run)" if own else ""),
        x=[point.batch for point in points],
        y=[getattr(point, figure) for point in points],
        colour=ARM_STYLES["speculative"][1] if own else colour,
        dashed=not own,
    )


def _dots(batches: list[float], speedups: Floats) -> list[Line]:
    if not batches:
        return []
    dots = Line(name="simulated", x=batches, y=speedups.tolist(), colour="#1c2733", joined=False)
    return [dots]


def _policy_chart(source: RunSource, batches: list[int], lengths: Floats) -> Chart | None:
    """Return the draft lengths that a policy chose; None where the length is fixed."""
    chosen = (source.summary.get("scenario") or {}).get("policy", FIXED)
    if chosen == FIXED or not batches:
        return None
    line = Line(name="drafted", x=batches, y=lengths.tolist(), colour=ARM_STYLES["speculative"][1])
    return Chart(
        key="policy",
        title="Draft length that the policy chose",
        caption=f"Mean drafted tokens of a request in a step, by batch, policy {chosen}.",
        x=_BATCH,
        y=Axis(title="drafted tokens"),
        series=[line],
    )
