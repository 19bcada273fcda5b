"""Max-min fair shares: by their definition, and by progressive filling in fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.sharing import max_min_rates

CHANNELS = 5


@st.composite
def networks(draw):
    capacities = draw(st.lists(st.floats(0.5, 1000), min_size=CHANNELS, max_size=CHANNELS))
    route = st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=4, unique=True)
    return draw(st.lists(route, min_size=1, max_size=12)), capacities


@pytest.mark.parametrize(
    ("routes", "capacities", "rates"),
    [
        ([[0]], [10.0], [10.0]),
        ([[0], [0]], [10.0], [5.0, 5.0]),
        ([[0, 1], [0], [1]], [10.0, 10.0], [5.0, 5.0, 5.0]),
        # The long flow gets a third of the narrow link; the other of the wide one takes the rest.
        ([[0, 1], [0], [1], [1]], [10.0, 6.0], [2.0, 8.0, 2.0, 2.0]),
        ([[0], [1]], [3.0, 4.0], [3.0, 4.0]),
        ([], [1.0], []),
    ],
)
def test_by_hand(routes, capacities, rates):
    assert max_min_rates(routes, capacities) == pytest.approx(rates)


@given(networks())
def test_each_flow_has_a_full_channel_on_which_none_has_more(network):
    """The definition: that channel is why the flow cannot have more without another having less."""
    routes, capacities = network
    rates = max_min_rates(routes, capacities)
    used = [sum(rates[f] for f, r in enumerate(routes) if c in r) for c in range(CHANNELS)]
    assert all(use <= limit * (1 + 1e-6) for use, limit in zip(used, capacities, strict=True))
    for flow, route in enumerate(routes):
        assert any(
            used[channel] >= capacities[channel] * (1 - 1e-6)
            and rates[flow]
            >= max(rates[f] for f, r in enumerate(routes) if channel in r) * (1 - 1e-6)
            for channel in route
        )


def filled(routes, capacities):
    """Raise all that can grow by what the next channel to be full leaves them, in fractions."""
    rates, growing = [Fraction(0)] * len(routes), set(range(len(routes)))
    while growing:
        steps = {}
        for channel, capacity in enumerate(capacities):
            users = [flow for flow, route in enumerate(routes) if channel in route]
            if growing & set(users):
                left = Fraction(capacity) - sum(rates[flow] for flow in users)
                steps[channel] = left / len(growing & set(users))
        step = min(steps.values())
        for flow in growing:
            rates[flow] += step
        full = {channel for channel, size in steps.items() if size == step}
        growing = {flow for flow in growing if not full & set(routes[flow])}
    return [float(rate) for rate in rates]


@given(networks())
def test_against_progressive_filling_in_fractions(network):
    assert max_min_rates(*network) == pytest.approx(filled(*network), rel=1e-6)
