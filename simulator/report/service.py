"""What users got: objectives met, outcomes, classes and tenants, where they say something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from simulator.report.figures import bounds, factor, fine_percent, number, percent, seconds
from simulator.report.tables import frame
from simulator.slo import BOUNDS
from simulator.trace.schema import ARMS
from simulator.trace.verdict import STABLE

Json = Mapping[str, Any]

_NOTABLE = 0.0005
"""Share of the requests that must miss or leave before it is shown: it is printed to a tenth of a
percent."""

_LEFT = {
    "rejected": "rejected",
    "timed_out": "timed out",
    "cancelled": "cancelled",
    "failed": "failed",
}


def service_rows(summary: Json) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table that only some runs have: label, SD off, SD on, ratio, interval.

    Goodput where an objective is missed, outcomes other than finished, a verdict other than stable,
    a prefix cache that is hit, fairness where there are tenants.
    """
    if misses(summary):
        ratio = summary["speedup"].get("goodput") or {"value": None, "low": None, "high": None}
        gain = factor(ratio["value"]), bounds(ratio)
        yield ("goodput/s", *_both(summary, "goodput_per_s", number), *gain)
        yield ("SLO attainment", *_both(summary, "attainment", fine_percent))
    for outcome, label in _LEFT.items():
        shares = [_share(summary[arm], outcome) for arm in ARMS]
        if max(shares) >= _NOTABLE:
            yield (label, *map(fine_percent, shares))
    labels = [(summary[arm].get("verdict") or {"label": STABLE})["label"] for arm in ARMS]
    if set(labels) != {STABLE}:
        yield ("verdict", *labels)
    if any(summary[arm].get("prefix_hit_rate") for arm in ARMS):
        yield ("prefix hit rate", *_both(summary, "prefix_hit_rate", percent))
    if any(summary[arm].get("jain_service") is not None for arm in ARMS):
        yield ("Jain, service", *_both(summary, "jain_service", number))
        yield ("Jain, demand", *_both(summary, "jain_demand", number))


def queue_row(summary: Json) -> tuple[str, ...] | None:
    """Return the row of the time in the queue, where it makes up half of an arm's TTFT or more."""
    for arm in ARMS:
        queued_s = (summary[arm].get("queue_s") or {}).get("p90")
        ttft_s = summary[arm]["ttft_s"]["p90"]
        if queued_s is not None and ttft_s is not None and queued_s >= ttft_s / 2:
            times = (seconds((summary[each].get("queue_s") or {}).get("p90")) for each in ARMS)
            return ("queue p90", *times)
    return None


def misses(summary: Json) -> bool:
    """Tell whether an objective was given, and missed by more requests than nobody."""
    shares = [summary[arm].get("attainment") for arm in ARMS]
    return any(share is not None and share < 1.0 - _NOTABLE for share in shares)


def objective(slo: Json) -> str:
    """Write the bounds of an objective.

    Examples
    --------
    >>> objective({"ttft_s": 2.0, "tpot_s": 0.1, "e2e_s": None, "share": 0.99})
    'TTFT 2.00 s, TPOT 100 ms'
    """
    bounded = {name: slo[name] for name in BOUNDS if slo[name] is not None}
    written = (f"{name.removesuffix('_s').upper()} {seconds(at)}" for name, at in bounded.items())
    return ", ".join(written) or "that of each class"


def class_table(summary: Json) -> Table | None:
    """Return the table of the traffic classes, a line an arm; None where there is one class."""
    if not summary.get("classes"):
        return None
    headings = ("requests>", "TTFT p90>", "TPOT p90>", "goodput/s>", "SLO met>")
    table = frame("class", "", *headings, unbroken=2)
    for each in summary["classes"]:
        for arm, label in zip(ARMS, ("SD off", "SD on"), strict=True):
            figures = each[arm]
            table.add_row(
                Text(str(each["name"]) if arm == ARMS[0] else ""),
                label,
                f"{figures['requests']:,}",
                *(seconds(figures[name]["p90"]) for name in ("ttft_s", "tpot_s")),
                number(figures["goodput_per_s"]),
                fine_percent(figures["attainment"]),
            )
    return table


def _both(summary: Json, figure: str, write: Any) -> tuple[str, str]:
    off, on = (write(summary[arm].get(figure)) for arm in ARMS)
    return off, on


def _share(arm: Json, outcome: str) -> float:
    return float((arm.get("outcome_shares") or {}).get(outcome) or 0.0)
