"""How near a deployment comes to the bounds on its latencies, as tables of plans write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.report.figures import ABSENT, seconds
from simulator.trace.latencies import QUANTILES

Percentiles = Mapping[str, float | None]
"""Latencies by name of the percentile, s; None where too few requests stand behind one."""


def nearest(classes: Sequence[tuple[float | None, Percentiles]], before: str) -> str:
    r"""Write the tail of the class that is nearest its bound, and the bound below.

    Parameters
    ----------
    classes
        The bound on a latency, s, None without one, and its percentiles, of each class.
    before
        What stands before the bound.

    Examples
    --------
    >>> nearest([(2.0, {"p90": 0.5, "p99": None}), (2.0, {"p90": 0.1, "p99": 0.2})], "/")
    'p90 500 ms\n/ 2.00 s'
    """

    def fullness(each: tuple[float | None, Percentiles]) -> float:
        bound, (_, value) = each[0], tail(each[1])
        return 0.0 if bound is None or value is None else value / bound

    if not classes:
        return ABSENT
    bound, percentiles = max(classes, key=fullness)
    label, value = tail(percentiles)
    text = seconds(value) if label == "p99" else f"{label} {seconds(value)}"
    return text if bound is None else f"{text}\n{before} {seconds(bound)}"


def tail(percentiles: Percentiles) -> tuple[str, float | None]:
    """Return the highest percentile that enough requests stand behind, and its name.

    Examples
    --------
    >>> tail({"p50": 0.1, "p90": 0.2, "p99": None})
    ('p90', 0.2)
    """
    found = [(label, value) for label in QUANTILES if (value := percentiles.get(label)) is not None]
    return found[-1] if found else ("p99", None)
