"""How many drafted tokens are accepted: by position, and by request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from simulator.report.figures import number
from simulator.report.html.blocks import Section, charts, section
from simulator.report.html.chart import Axis, Bars, Chart, Line, Rule
from simulator.report.html.run.source import RunSource
from simulator.report.plots import ARM_STYLES
from simulator.speculation.acceptance import Acceptance
from simulator.trace.read import chunks

_BINS_PER_TOKEN = 8
"""Bins of the distribution over requests where the acceptance length grows by one."""

_FEWEST_ROUNDS = 8
"""Rounds from which on a request has an acceptance length: of fewer it is mostly chance."""

_CHAIN, _GIVEN = ARM_STYLES["speculative"][1], "#9ec5ee"

Floats = np.ndarray[Any, np.dtype[np.float64]]


def acceptance_section(source: RunSource) -> Section | None:
    """Return acceptance by position, and the acceptance lengths of requests; None at gamma 0."""
    gamma = int((source.summary.get("scenario") or {}).get("gamma") or 0)
    if gamma == 0:
        return None
    by_position = None
    if source.scenario is not None:
        by_position = _by_position(source.scenario.acceptance, gamma)
    spread = _by_request(source, gamma)
    return section("acceptance", "Acceptance", charts([by_position, spread]))


def _by_position(acceptance: Acceptance, gamma: int) -> Chart:
    """Return the chance that a position of a draft is kept, and that given those before it."""
    tokens = [acceptance.tokens_per_round(length) for length in range(gamma + 1)]
    kept = np.diff(tokens)
    before = np.array([1.0, *kept[:-1]])
    given = np.divide(kept, before, out=np.zeros_like(kept), where=before > 0.0)
    labels = [str(position) for position in range(1, gamma + 1)]
    name = "accepted"
    return Chart(
        key="acceptance-position",
        title="Acceptance by position",
        caption="What the acceptance model of this run says: the share of rounds that keep the "
        "drafted token at a position (all before it are kept too), and the share among rounds "
        f"that kept those before. A round yields {number(tokens[-1])} tokens on average.",
        x=Axis(title="position in the draft", scale="category"),
        y=Axis(title="share", unit="percent", bounds=(0.0, 1.02)),
        series=[
            Bars(name=name, labels=labels, values=kept.tolist(), colour=_CHAIN),
            Bars(
                name=f"{name}, given those before",
                labels=labels,
                values=given.tolist(),
                colour=_GIVEN,
            ),
        ],
    )


def _by_request(source: RunSource, gamma: int) -> Chart | None:
    """Return how the acceptance length is spread over the requests of the trace."""
    edges = np.linspace(1.0, gamma + 1.0, _BINS_PER_TOKEN * gamma + 1)
    counts = _histogram(source.tables["requests"], edges)
    if not counts.sum():
        return None
    middles = (edges[:-1] + edges[1:]) / 2
    mean = source.summary["speculative"].get("mean_acceptance_length")
    line = Line(
        name="requests",
        x=middles.tolist(),
        y=(counts / counts.sum()).tolist(),
        colour=_CHAIN,
        marked=True,
    )
    return Chart(
        key="acceptance-requests",
        title="Acceptance length by request",
        caption="Tokens that a round yields, the one of the target model included, as the mean "
        f"over the rounds of a request (of {_FEWEST_ROUNDS} rounds or more). A narrow peak: all "
        "requests gain alike.",
        x=Axis(title="acceptance length", bounds=(1.0, gamma + 1.0)),
        y=Axis(title="share of requests", unit="percent"),
        series=[line],
        rules=[Rule(at=mean, label=f"mean {number(mean)}", vertical=True)] if mean else [],
    )


def _histogram(requests_path: Path, edges: Floats) -> Floats:
    """Count the acceptance lengths of requests in bins, in one pass over the trace."""
    counts = np.zeros(len(edges) - 1)
    for run, rows in chunks(requests_path, "requests", ("rounds", "accepted_draft_tokens")):
        if run.arm == "speculative":
            kept = rows["rounds"] >= _FEWEST_ROUNDS
            lengths = 1.0 + rows["accepted_draft_tokens"][kept] / rows["rounds"][kept]
            counts += np.histogram(lengths, edges)[0]
    return counts
