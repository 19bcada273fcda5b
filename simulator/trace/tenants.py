"""What each tenant was served, and how evenly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.trace.objectives import Bools, Ints
from simulator.trace.read import Columns


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
    """Sums by tenant over the measured requests of one run, each of shape ``[tenants]``.

    Parameters
    ----------
    requests, finished, attained
        Requests that arrived, that finished, and that met their objective.
    demand_tokens, service_tokens
        Tokens asked for and served within the window: prompt tokens computed (not found in the
        prefix cache) and output tokens emitted, those of requests that left by its end.
    """

    requests: Ints
    finished: Ints
    attained: Ints
    demand_tokens: Ints
    service_tokens: Ints

    def __add__(self, other: Tenants) -> Tenants:
        """Join two runs."""
        return Tenants(
            *(_sum(getattr(self, name), getattr(other, name)) for name in self.__slots__)
        )


def tenants(requests: Columns, attained: Bools, end_s: float) -> Tenants:
    """Sum up requests by tenant. O(requests).

    Parameters
    ----------
    requests
        The measured requests.
    attained
        Which of them met their objective.
    end_s
        End of the window; what leaves later was not served within it.
    """
    tenant, cached = requests["tenant"], requests["cached_tokens"]
    prefilled = ~np.isnan(requests["first_token_s"]) & (requests["left_s"] <= end_s)
    computed = requests["prompt_tokens"].astype(np.int64) - cached
    emitted = np.where(requests["left_s"] <= end_s, requests["emitted_tokens"], 0)

    def by_tenant(amounts: Any) -> Ints:
        return np.bincount(tenant, amounts).astype(np.int64)

    return Tenants(
        requests=by_tenant(None),
        finished=by_tenant(~np.isnan(requests["finish_s"])),
        attained=by_tenant(attained),
        demand_tokens=by_tenant(computed + requests["output_tokens"]),
        service_tokens=by_tenant(np.where(prefilled, computed, 0) + emitted),
    )


def _sum(first: Ints, second: Ints) -> Ints:
    total = np.zeros(max(first.size, second.size), dtype=np.int64)
    total[: first.size] += first
    total[: second.size] += second
    return total
