"""Limits by tenant: rates, bursts and quotas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.serving.tenants.config import LimitsConfig
from simulator.serving.tenants.rate_limiter import RateLimiter


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(0.1, 50.0),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=60),
)
def test_no_interval_sees_more_than_its_rate_and_a_burst(
    rate: float, burst: int, gaps: list[float]
) -> None:
    limiter, now_s, admitted = RateLimiter(LimitsConfig(rate_per_s=rate, burst=burst)), 0.0, []
    for gap in gaps:
        now_s += gap
        wait_s = limiter.wait_s(1, now_s)
        if wait_s:
            assert limiter.wait_s(1, now_s + wait_s) == 0.0  # told the truth
            now_s += wait_s
        admitted.append(now_s)
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            allowed = rate * (admitted[last] - start) + burst
            assert last - first + 1 <= allowed + 1e-6 * (1 + allowed)


def test_tenants_do_not_share_a_bucket_nor_a_quota() -> None:
    limiter = RateLimiter(LimitsConfig(rate_per_s=1.0, burst=1, quota=2))
    assert [limiter.wait_s(tenant, 0.0) for tenant in (1, 2)] == [0.0, 0.0]
    assert limiter.wait_s(1, 0.0) == pytest.approx(1.0)
    assert limiter.wait_s(1, 5.0) == 0.0
    assert limiter.wait_s(1, 50.0) == math.inf
    assert limiter.wait_s(2, 50.0) == 0.0


def test_without_a_limit_nothing_is_refused() -> None:
    limiter = RateLimiter(LimitsConfig())
    assert not any(limiter.wait_s(0, 0.0) for _ in range(1000))


@pytest.mark.parametrize("wrong", [{"rate_per_s": 0.0}, {"burst": 0}, {"quota": 0}])
def test_limits_that_let_nothing_through_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=0"):
        LimitsConfig(**wrong)
