"""Max-min fair shares: by their definition, and by a fluid that grows drop by drop."""

import numpy as np
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
        # The textbook's: the long flow gets a third of the narrow link, the wide one gives the rest.
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


@given(networks())
def test_against_a_fluid_that_grows_drop_by_drop(network):
    routes, capacities = network
    passes = np.array([[c in route for route in routes] for c in range(CHANNELS)], dtype=float)
    rates, growing = np.zeros(len(routes)), np.ones(len(routes), dtype=bool)
    left = np.array(capacities)
    while growing.any():
        drop = 1e-3 * min(left[c] / n for c in range(CHANNELS) if (n := passes[c] @ growing))
        least = 1e-4 * min(capacities)
        drop = max(drop, least)
        rates[growing] += drop
        left = np.array(capacities) - passes @ rates
        for channel in np.flatnonzero(left < len(routes) * least):
            growing &= passes[channel] == 0
    assert max_min_rates(routes, capacities) == pytest.approx(rates, rel=0.05, abs=0.02)
