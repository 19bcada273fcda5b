"""What the report of a run says where loads of experts are drawn: rows, and reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simulator.report.figures import factor, number, percent
from simulator.trace.schema import ARMS

Json = Mapping[str, Any]

AGREE = 0.01
"""Share of a step's time below which fidelities agree."""

_ROWS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("busiest rank / mean", "imbalance", number),
    ("busiest link", "busiest_link_utilisation", percent),
)
"""Label, key in `trace.dispatch.summarise_dispatch`, and format."""


def dispatch_rows(summary: Json) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a run whose loads are drawn: label, both arms."""
    experts = summary.get("experts")
    if not experts:
        return
    for label, key, write in _ROWS:
        values = [experts[arm].get(key) for arm in ARMS]
        if any(value is not None for value in values):
            yield (label, *(write(value) for value in values))


def dispatch_notes(summary: Json) -> Iterator[str]:
    """Yield why steps take longer or shorter than closed forms say, or that they agree."""
    experts = summary.get("experts")
    if not experts:
        return
    for arm, title in zip(ARMS, ("SD off", "SD on"), strict=True):
        reasons = list(reasons_of(experts[arm]))
        if reasons:
            yield f"{title}: {'; '.join(reasons)}."
        else:
            yield f"{title}: steps take within 1 % of what closed forms say of even routing."


def reasons_of(figures: Json) -> Iterator[str]:
    """Yield what moves steps by more than `AGREE`, of one arm.

    Examples
    --------
    >>> list(reasons_of({"imbalance": 1.5, "skew": 0.08, "overlap": 0.0, "contention": 0.02}))[0]
    'the busiest rank has 1.50x the mean tokens, which makes steps 8.0% longer than closed forms'
    """
    skew, overlap, contention = (figures.get(key) for key in ("skew", "overlap", "contention"))
    if skew is not None and abs(skew) > AGREE:
        how = "longer" if skew > 0 else "shorter"
        yield (
            f"the busiest rank has {factor(figures['imbalance'])} the mean tokens, which makes "
            f"steps {abs(skew):.1%} {how} than closed forms"
        )
    if contention is not None and contention > AGREE:
        yield f"exchanges waited for others on their links, {contention:.1%} of the time of steps"
    if overlap is not None and abs(overlap) > AGREE:
        how = "shorter" if overlap > 0 else "longer"
        yield f"two batches that overlap make steps {abs(overlap):.1%} {how} than one"
