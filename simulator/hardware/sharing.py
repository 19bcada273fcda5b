"""Max-min fair shares of channels (Bertsekas and Gallager, Data Networks, 6.5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_TIE = 1e-9
"""Relative difference below which two shares are one: sums of floats differ in their last bits."""


def max_min_rates(
    routes: Sequence[Sequence[int]],
    capacities: Mapping[int, float] | Sequence[float],
    weights: Sequence[Sequence[float]] | None = None,
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
    weights
        How many times its rate a flow takes of each channel of its route, > 0: a flow that stands
        for several side by side (`bundles`). Once by default.

    Examples
    --------
    >>> max_min_rates([[0], [0, 1], [1]], [10.0, 4.0])
    [8.0, 2.0, 2.0]
    >>> max_min_rates([[0], [0]], [10.0], [[4.0], [1.0]])
    [2.0, 2.0]
    """
    if weights is None:
        weights = [[1.0] * len(route) for route in routes]
    users: dict[int, list[int]] = {}
    growing: dict[int, float] = {}
    for flow, (route, taken) in enumerate(zip(routes, weights, strict=True)):
        for channel, weight in zip(route, taken, strict=True):
            users.setdefault(channel, []).append(flow)
            growing[channel] = growing.get(channel, 0.0) + weight
    left = {channel: capacities[channel] for channel in users}
    counts = {channel: len(flows) for channel, flows in users.items()}
    rates = [0.0] * len(routes)
    fixed = [False] * len(routes)
    while counts:
        shares = {channel: left[channel] / growing[channel] for channel in counts}
        rate = min(shares.values())
        full = [channel for channel, share in shares.items() if share <= rate * (1 + _TIE)]
        for channel in full:
            for flow in users[channel]:
                if not fixed[flow]:
                    fixed[flow], rates[flow] = True, rate
                    for passed, weight in zip(routes[flow], weights[flow], strict=True):
                        left[passed] -= weight * rate
                        growing[passed] -= weight
                        counts[passed] -= 1
        counts = {channel: count for channel, count in counts.items() if count}
    return rates
