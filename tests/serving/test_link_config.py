"""Settings of links: times in which they are slower."""

import pytest

from simulator.errors import ConfigError
from simulator.serving.link_config import (
    DegradedConfig,
    DegradedLinkConfig,
    KvLinkConfig,
    check_apart,
)


def time(at_s, for_s=1.0, factor=0.5):
    return DegradedConfig(at_s=at_s, for_s=for_s, factor=factor)


@pytest.mark.parametrize("factor", [0.0, 1.0, -0.5, 2.0, float("nan")])
@pytest.mark.parametrize(
    ("make", "path"),
    [
        (DegradedConfig, r"cluster\.kv_link\.degraded"),
        (lambda **given: DegradedLinkConfig(link="a-b", **given), r"cluster\.degraded_links"),
    ],
)
def test_a_factor_is_a_share_and_the_message_says_of_what(make, path, factor):
    with pytest.raises(ConfigError, match=rf"{path}\.factor={factor!r} must lie in \(0, 1\)"):
        make(at_s=0.0, for_s=1.0, factor=factor)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"at_s": -1.0}, "at_s=-1.0"),
        ({"at_s": float("inf")}, "at_s=inf"),
        ({"at_s": 1.0, "for_s": 0.0}, "for_s=0.0"),
        ({"at_s": 1.0, "for_s": float("nan")}, "for_s=nan"),
    ],
)
def test_times_are_finite(settings, message):
    with pytest.raises(ConfigError, match=message):
        time(**settings)


def test_one_may_begin_as_another_ends():
    check_apart([time(1.0), time(0.0), time(2.0)], "here")


@pytest.mark.parametrize("order", [1, -1])
def test_overlaps_are_refused_in_any_order(order):
    with pytest.raises(ConfigError, match=r"here: the time from 1\.5 s starts before the one"):
        check_apart([time(1.0), time(1.5)][::order], "here")
    with pytest.raises(ConfigError, match=r"cluster\.kv_link\.degraded: the time from 1\.5 s"):
        KvLinkConfig(degraded=(time(1.0), time(1.5))[::order])
