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
        reasons = list(reasons_of(experts[arm], overlapping=experts["two_batch_overlap"]))
        if reasons:
            yield f"{title}: {'; '.join(reasons)}."
        else:
            yield f"{title}: steps take within 1 % of what closed forms say of even routing."


def reasons_of(figures: Json, *, overlapping: bool) -> Iterator[str]:
    """Yield what moves the steps of one arm by more than `AGREE`.

    Parameters
    ----------
    figures
        Of the arm (`trace.dispatch.summarise_dispatch`).
    overlapping
        Whether steps were cut into two batches.

    Examples
    --------
    >>> figures = {"imbalance": 1.5, "skew": 0.08, "rest": 0.0, "contention": 0.02}
    >>> list(reasons_of(figures, overlapping=False))[0]
    'the busiest rank has 1.50x the mean tokens, and steps are 8.0% longer than with even routing'
    """
    skew, rest, contention = (figures.get(key) for key in ("skew", "rest", "contention"))
    if skew is not None and abs(skew) > AGREE:
        cause = f"the busiest rank has {factor(figures['imbalance'])} the mean tokens, and"
        if figures["imbalance"] - 1.0 < AGREE:
            cause = "steps use, or miss, other experts than closed forms expect;"
        yield f"{cause} steps are {_change(skew)} than with even routing"
    if contention is not None and contention > AGREE:
        yield (
            f"others on their links, or slower links, hold exchanges up for {contention:.1%} of "
            "the time of steps"
        )
    moving = figures.get("moving")
    if moving:
        yield f"moving experts to other ranks takes {moving:.2%} of the time of steps"
    if rest is not None and abs(rest) > AGREE:
        if overlapping:
            yield f"steps of two overlapping batches are {_change(rest)} than of one"
        else:
            yield (
                f"steps are {_change(rest)} since exchanges take their links longer, at peak "
                "bandwidth, than was measured in all"
            )


def _change(share: float) -> str:
    return f"{abs(share):.1%} {'longer' if share > 0 else 'shorter'}"
