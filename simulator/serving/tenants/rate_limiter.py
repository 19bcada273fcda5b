"""Limits per tenant in front of the endpoint."""

from __future__ import annotations

import math

from simulator.serving.tenants.config import LimitsConfig

_EARLY_S = 1e-9
"""A client that waited as long as it was told is not refused for the last bits of its clock."""


class RateLimiter:
    """A token bucket and a quota for every tenant.

    The bucket is kept as the time at which it is full again (the generic cell rate algorithm of
    ATM Forum TM 4.0): a query moves that on by ``1 / rate``, and is refused where it lies more than
    ``(burst - 1) / rate`` ahead.

    Parameters
    ----------
    limits
        The same for every tenant.

    Examples
    --------
    >>> limiter = RateLimiter(LimitsConfig(rate_per_s=2.0, burst=2))
    >>> [limiter.wait_s(tenant=7, now_s=0.0) for _ in range(3)]
    [0.0, 0.0, 0.5]
    >>> limiter.wait_s(tenant=8, now_s=0.0), limiter.wait_s(tenant=7, now_s=0.5)
    (0.0, 0.0)
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self._interval_s = 1.0 / limits.rate_per_s
        self._ahead_s = (limits.burst - 1) * self._interval_s + _EARLY_S
        self._quota = math.inf if limits.quota is None else limits.quota
        self._open = limits.rate_per_s == self._quota == math.inf
        self._full_s: dict[int, float] = {}
        self._sent: dict[int, int] = {}

    def wait_s(self, tenant: int, now_s: float) -> float:
        """Admit a query, or say after which time the next would be.

        Returns
        -------
        float
            0 if it is admitted, which counts; infinity where the quota is spent.
        """
        if self._open:
            return 0.0
        sent = self._sent.get(tenant, 0)
        if sent >= self._quota:
            return math.inf
        full_s = max(self._full_s.get(tenant, 0.0), now_s)
        if full_s - now_s > self._ahead_s:
            return full_s - now_s - self._ahead_s + _EARLY_S
        self._full_s[tenant] = full_s + self._interval_s
        self._sent[tenant] = sent + 1
        return 0.0
