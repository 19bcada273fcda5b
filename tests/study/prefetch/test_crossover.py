"""Where prefetching becomes useless: found, closed in on, and made a switch."""

import math

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.experts.drafts import DraftView
from simulator.experts.predictor import ExpertPredictor
from simulator.study.prefetch.crossover import (
    check_batches,
    crossover,
    predicted_distinct,
    search,
    with_switch,
)
from simulator.study.prefetch.question import LONG_TAIL
from simulator.study.prefetch.replay import windows
from simulator.study.prefetch.served import AFTER, MOST
from simulator.study.prefetch.shift import ON_DEMAND
from simulator.study.prefetch.traces import drawn_traces
from tests.helpers.prefetch import runs

ON_DEMAND_RUNS = runs(ON_DEMAND, {1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0})


@pytest.fixture(scope="module")
def clear():
    """A predictor that never errs, what it sees of a pool, and the steps of its requests."""
    traces = drawn_traces(LONG_TAIL, 1, 16, 32, 0)
    one, none = 9.0 * np.eye(32)[None], np.zeros((1, 32))
    predictor = ExpertPredictor((one, none, one, none), 1, 32, 1, DraftView(32, 0.0, 0))
    return predictor, np.eye(32)[traces.before.chosen[0, :, 0]], windows(traces.before, 4)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({1: 0.9, 2: 1.9, 4: 4.0, 8: 8.1}, 4),
        ({1: 1.1, 2: 1.9, 4: 3.9, 8: 8.1}, 8),  # slower at first does not count as crossing
        ({1: 0.9, 2: 1.9, 4: 3.9, 8: 7.9}, None),
        ({1: 1.1, 2: 2.1, 4: 4.1, 8: 8.1}, 1),
    ],
)
def test_the_crossover_is_where_it_stops_being_faster_for_good(times, expected):
    found = ON_DEMAND_RUNS + runs("ce", times) + runs("ce", dict.fromkeys(times, 99.0), AFTER)
    assert crossover(found, "ce") == expected


def test_what_is_faster_by_chance_is_not_faster():
    found = []
    for replication, times in enumerate(
        ({1: 0.9, 2: 0.97}, {1: 0.92, 2: 1.01}, {1: 0.91, 2: 0.95})
    ):
        found += runs(ON_DEMAND, dict.fromkeys(times, 1.0), replication=replication)
        found += runs("ce", times, replication=replication)
    assert crossover(found, "ce") == 2


@pytest.mark.parametrize("batches", [(1, 4), (8, 16)])
@pytest.mark.parametrize("useless", [1, 2, 3, 7, 23, 100, 255])
def test_the_search_closes_in_on_the_crossover(useless, batches):
    served = []

    def serve(batches):
        served.extend(batches)
        times = {batch: 0.9 if batch < useless else 1.1 for batch in batches}
        return runs(ON_DEMAND, dict.fromkeys(batches, 1.0)) + runs("ce", times)

    found = crossover(search(serve, batches, "ce"), "ce")
    below = max((batch for batch in served if batch < useless), default=0)
    assert useless <= found
    assert found <= max(1.25 * below, below + 1)
    assert len(served) == len(set(served))
    assert len(served) <= 12


def test_where_it_always_pays_the_search_ends_at_the_largest_batch():
    served = []

    def serve(batches):
        served.extend(batches)
        times = dict.fromkeys(batches, 1.0)
        return runs(ON_DEMAND, times) + runs("ce", dict.fromkeys(batches, 0.9))

    assert crossover(search(serve, (1, 4), "ce"), "ce") is None
    assert served == [1, 4, 8, 16, 32, 64, 128, MOST]


def test_a_predictor_expects_more_distinct_experts_of_more_requests(clear):
    predictor, picked, steps = clear
    found = [predicted_distinct(*clear, batch) for batch in (1, 4, 64)]
    distinct = np.mean([predictor.needed(picked[step]).sum() for step in steps])
    assert found[0] == pytest.approx(distinct, rel=0.1)
    assert found[0] < found[1] < found[2] <= 32


def test_the_switch_lies_between_what_is_expected_below_the_crossover_and_at_it(clear):
    below, at = (predicted_distinct(*clear, batch) for batch in (3, 4))
    assert with_switch(*clear, 3, 4).most_distinct == pytest.approx((below + at) / 2)
    assert with_switch(*clear, None, 1).most_distinct == 0.0
    assert with_switch(*clear, 4, None).most_distinct == math.inf


@pytest.mark.parametrize("batches", [(), (0, 1), (2, 1), (1, 1), (1, 512)])
def test_batches_must_rise(batches):
    with pytest.raises(ConfigError, match="rising"):
        check_batches(batches)
