"""Max-min fair shares of channels (Bertsekas and Gallager, Data Networks, 6.5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_TIE = 1e-9
"""Relative difference below which two shares are one: sums of floats differ in their last bits."""


def max_min_rates(
    routes: Sequence[Sequence[int]], capacities: Mapping[int, float] | Sequence[float]
) -> list[float]:
    """Return the rate of every flow: none can have more without one of less having less.

    Progressive filling: all rates grow alike; a channel that is full fixes those that go through
    it. So every flow has a full channel on its route on which no flow has more.

    Parameters
    ----------
    routes
        The channels of each flow, at least one.
    capacities
        Of each channel, bytes/s.

    Examples
    --------
    >>> max_min_rates([[0], [0, 1], [1]], [10.0, 4.0])
    [8.0, 2.0, 2.0]
    """
    users: dict[int, list[int]] = {}
    for flow, route in enumerate(routes):
        for channel in route:
            users.setdefault(channel, []).append(flow)
    left = {channel: capacities[channel] for channel in users}
    growing = {channel: len(flows) for channel, flows in users.items()}
    rates = [0.0] * len(routes)
    fixed = [False] * len(routes)
    while growing:
        shares = {channel: left[channel] / count for channel, count in growing.items()}
        rate = min(shares.values())
        full = [channel for channel, share in shares.items() if share <= rate * (1 + _TIE)]
        for channel in full:
            for flow in users[channel]:
                if not fixed[flow]:
                    fixed[flow], rates[flow] = True, rate
                    for passed in routes[flow]:
                        left[passed] -= rate
                        growing[passed] -= 1
        growing = {channel: count for channel, count in growing.items() if count}
    return rates
