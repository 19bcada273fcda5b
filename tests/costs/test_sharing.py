"""What the busiest sharer of a step gets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.costs.sharing import busiest_chunks, busiest_requests

sharers = st.integers(1, 64)
chunks = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(1, 5000)).map(lambda c: (c[0], c[0] + c[1])),
    max_size=30,
)


def tokens(dealt):
    return sum(end - start for start, end in dealt)


@given(st.integers(0, 10_000), sharers)
def test_whole_requests_are_rounded_up(requests, sharers):
    assert busiest_requests(requests, sharers) == math.ceil(requests / sharers)


@given(st.floats(0, 10_000), sharers)
def test_a_mean_count_is_a_chance_of_its_neighbours(requests, sharers):
    low, chance = math.floor(requests), requests - math.floor(requests)
    expected = (1 - chance) * math.ceil(low / sharers) + chance * math.ceil((low + 1) / sharers)
    assert busiest_requests(requests, sharers) == pytest.approx(expected, rel=1e-12)


@given(st.floats(0, 10_000))
def test_a_single_sharer_has_everything(requests):
    assert busiest_requests(requests, 1) == requests


@given(chunks)
def test_a_single_sharer_has_every_chunk(chunks):
    assert busiest_chunks(chunks, 1) is chunks


@given(chunks, sharers)
def test_the_busiest_has_no_less_than_the_mean_and_the_longest(chunks, sharers):
    busiest = busiest_chunks(chunks, sharers)
    assert not [chunk for chunk in busiest if busiest.count(chunk) > chunks.count(chunk)]
    longest = max((end - start for start, end in chunks), default=0)
    mean = tokens(chunks) / sharers
    assert max(mean, longest) <= tokens(busiest) <= mean + longest


@given(chunks.filter(len), st.data())
def test_as_many_sharers_as_chunks_leave_the_longest_alone(chunks, data):
    sharers = data.draw(st.integers(len(chunks), 64))
    (chunk,) = busiest_chunks(chunks, sharers)
    assert tokens([chunk]) == max(end - start for start, end in chunks)


def test_longest_first_beats_order_of_arrival():
    """Dealt as they come to whoever has least, one of two would get 3 + 2 + 4; the best is 7."""
    dealt = busiest_chunks([(0, 3), (0, 3), (0, 2), (0, 2), (0, 4)], 2)
    assert tokens(dealt) == 8
