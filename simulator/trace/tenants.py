"""What each tenant was served, and how evenly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.trace.objectives import Bools, Ints
from simulator.trace.read import Columns
from simulator.trace.windows import Window


def jain(amounts: Ints) -> float | None:
    """Return Jain's fairness index, ``(sum x)^2 / (n sum x^2)``.

    1 if all get the same, 1 / n if one gets all. R. Jain, D. Chiu and W. Hawe, "A quantitative
    measure of fairness and discrimination for resource allocation in shared computer systems", DEC
    TR-301, 1984.

    Parameters
    ----------
    amounts
        What each of them gets, at least 0.

    Returns
    -------
    float or None
        None if nobody gets anything.

    Examples
    --------
    >>> jain(np.array([2, 2, 2, 2])), jain(np.array([8, 0, 0, 0]))
    (1.0, 0.25)
    """
    amounts = np.asarray(amounts, dtype=np.float64)
    squares = amounts.size * float(amounts @ amounts)
    return float(amounts.sum()) ** 2 / squares if squares else None


@dataclass(frozen=True, slots=True)
class Tenants:
    """Sums by tenant over one run or several, each of shape ``[tenants]``.

    Parameters
    ----------
    requests, finished, attained
        Measured requests, those of them that finished, and that met their objective.
    good
        Requests that finished within the window and met it.
    demand_tokens, service_tokens
        Tokens that measured requests ask for, and that they were served by the end of the window:
        prompt tokens computed (not found in the prefix cache) and output tokens emitted, once they
        leave.
    window_s
        Length of the window, s.
    """

    requests: Ints
    finished: Ints
    attained: Ints
    good: Ints
    demand_tokens: Ints
    service_tokens: Ints
    window_s: float

    def __add__(self, other: Tenants) -> Tenants:
        """Join two runs."""
        sums = {
            name: _sum(getattr(self, name), getattr(other, name))
            for name in self.__slots__
            if name != "window_s"
        }
        return Tenants(**sums, window_s=self.window_s + other.window_s)


def tenants(
    requests: Columns, kept: Bools, attained: Bools, good: Bools, window: Window
) -> Tenants:
    """Sum up the requests of a run by tenant. O(requests).

    Parameters
    ----------
    requests
        All of them.
    kept, attained, good
        Which of them are measured, met their objective, and did so within the window.
    window
        The measured stretch; what leaves after it was not served within it.
    """
    tenant, finished = requests["tenant"], ~np.isnan(requests["finish_s"])
    in_time = requests["left_s"] <= window.end_s
    prefilled = ~np.isnan(requests["first_token_s"]) & in_time
    computed = requests["prompt_tokens"].astype(np.int64) - requests["cached_tokens"]
    served = np.where(prefilled, computed, 0) + np.where(in_time, requests["emitted_tokens"], 0)
    count = 1 + int(tenant.max(initial=0))

    def by_tenant(which: Bools, amounts: Ints | None = None) -> Ints:
        weights = None if amounts is None else amounts[which]
        return np.bincount(tenant[which], weights, minlength=count).astype(np.int64)

    return Tenants(
        requests=by_tenant(kept),
        finished=by_tenant(kept & finished),
        attained=by_tenant(kept & attained),
        good=by_tenant(good),
        demand_tokens=by_tenant(kept, computed + requests["output_tokens"]),
        service_tokens=by_tenant(kept, served),
        window_s=window.length_s,
    )


def _sum(first: Ints, second: Ints) -> Ints:
    total = np.zeros(max(first.size, second.size), dtype=np.int64)
    total[: first.size] += first
    total[: second.size] += second
    return total
