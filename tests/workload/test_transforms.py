"""What is changed of a trace, and what must stay as it was."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DataError
from simulator.streams import Streams
from simulator.workload import transforms
from simulator.workload.ragged import Ragged
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock, RequestTraits
from simulator.workload.transforms import (
    cut,
    jittered,
    joined,
    recut,
    scaled,
    stretched,
    thinned,
    windowed,
)


def trace(arrival_s, sessions=None, blocks=3, hash_tokens=4):
    """Requests of these arrivals in some blocks; the prompt of request i has i + 8 tokens."""
    arrival_s = np.asarray(arrival_s, dtype=float)
    size = arrival_s.size
    number = np.arange(size)
    traits = None
    if sessions is not None:
        traits = RequestTraits(
            traffic_class=np.zeros(size, np.int64),
            tenant=number % 3,
            priority=np.zeros(size, np.int64),
            session=np.asarray(sessions),
            cancel_after_s=np.full(size, np.inf),
            prefixes=Ragged.of([(0, 10 + int(n) % 5) for n in number]),
            hash_tokens=hash_tokens,
        )
    whole = RequestBlock(0, arrival_s, number + 8, number % 7 + 1, traits)
    edges = np.linspace(0, size, blocks + 1).astype(int)
    rows = [np.arange(a, b) for a, b in itertools.pairwise(edges) if b > a]
    return [
        RequestBlock(int(part[0]), *(getattr(one, name) for name in
                     ("arrival_s", "prompt_tokens", "output_tokens", "traits")))
        for part in rows
        for one in [transforms.taken(whole, part)]
    ]  # fmt: skip


def bursty(size=20_000, seed=4):
    """Arrivals with a CV of about 3."""
    return np.cumsum(np.random.default_rng(seed).gamma(1 / 9, 9, size))


def count_cv(arrival_s, window_s):
    counts = np.histogram(arrival_s, bins=np.arange(0, arrival_s[-1], window_s))[0]
    return counts.std() / counts.mean()


def gap_cv(arrival_s):
    gaps = np.diff(arrival_s)
    return gaps.std() / gaps.mean()


@pytest.mark.parametrize("factor", [0.5, 1.3, 2.0, 5.0])
def test_scaling_multiplies_the_rate_and_keeps_burstiness(factor):
    before = bursty()
    after = joined(list(scaled(trace(before), factor))).arrival_s
    assert after.size == pytest.approx(factor * before.size, abs=1)
    assert after[-1] == pytest.approx(before[-1], abs=20)
    for window_s in (10, 60):
        assert count_cv(after, window_s) == pytest.approx(count_cv(before, window_s), rel=0.02)
    if factor == int(factor):
        assert gap_cv(after) == pytest.approx(gap_cv(before), rel=0.01)


def test_copies_stand_between_their_request_and_the_next():
    after = joined(list(scaled(trace([0, 10, 14]), 2.0)))
    assert after.arrival_s.tolist() == [0, 5, 10, 12, 14, 16]
    assert after.prompt_tokens.tolist() == [8, 8, 9, 9, 10, 10]
    assert joined(list(scaled(trace([0, 10, 14, 20]), 0.5))).arrival_s.tolist() == [0, 14]


def test_copies_are_of_other_users_who_share_among_themselves():
    after = joined(list(scaled(trace(range(12), sessions=[0, 1, -1] * 4), 3.0)))
    traits = after.traits
    ranks = [set(traits.session[rank::3].tolist()) - {-1} for rank in range(3)]
    assert [len(one) for one in ranks] == [2, 2, 2]
    assert not ranks[0] & ranks[1]
    assert not ranks[1] & ranks[2]
    heads = np.array([prefix[0] for prefix in traits.prefixes])
    assert [np.unique(heads[rank::3]).size for rank in range(3)] == [1, 1, 1]
    assert np.unique(heads).size == 3
    assert heads.min() >= 0


def test_stretching_keeps_every_ratio_of_gaps():
    before = bursty(500)
    after = joined(list(stretched(trace(before), 4.0))).arrival_s
    assert after == pytest.approx(4 * before)


def test_thinning_keeps_whole_conversations_the_same_in_every_run():
    sessions = np.arange(9000) % 900
    kept = joined(list(thinned(trace(range(9000), sessions), 0.3))).traits.session
    numbers, counts = np.unique(kept, return_counts=True)
    assert set(counts.tolist()) == {10}
    assert numbers.size == pytest.approx(270, abs=4 * np.sqrt(900 * 0.21))
    again = joined(list(thinned(trace(range(9000), sessions, blocks=7), 0.3))).traits.session
    assert np.array_equal(kept, again)


def test_thinning_makes_arrivals_more_like_poisson():
    """Of a renewal process with CV c, a share p has CV^2 of 1 + p (c^2 - 1)."""
    before = bursty(60_000)
    after = joined(list(thinned(trace(before), 0.1))).arrival_s
    assert after.size == pytest.approx(6000, abs=300)
    expected = 1 + 0.1 * (gap_cv(before) ** 2 - 1)
    assert gap_cv(after) ** 2 == pytest.approx(expected, rel=0.08)


def test_a_window_begins_anew_at_zero():
    after = joined(list(windowed(trace(range(100)), 20.0, 30.5)))
    assert after.arrival_s.tolist() == list(range(11))
    assert after.prompt_tokens.tolist() == list(range(28, 39))
    assert not list(windowed(trace(range(10)), 20.0, 30.0))


def test_jitter_spreads_an_instant_over_its_tick_and_keeps_instants_apart():
    instants = np.repeat(3.0 * np.arange(400), 10)
    after = joined(list(jittered(trace(instants), 3.0, Streams(1))))
    assert np.all(np.diff(after.arrival_s) >= 0)
    spread = after.arrival_s.reshape(400, 10) - 3.0 * np.arange(400)[:, None]
    assert spread.min() >= 0
    assert spread.max() < 3
    assert spread.mean() == pytest.approx(1.5, abs=4 * 3 / np.sqrt(12 * 4000))
    assert sorted(after.prompt_tokens[:10]) == list(range(8, 18))
    other = joined(list(jittered(trace(instants, blocks=11), 3.0, Streams(1))))
    assert np.array_equal(after.arrival_s, other.arrival_s)


def test_a_tick_that_another_instant_cuts_short_ends_there():
    after = joined(list(jittered(trace([0, 0, 0, 0.5, 0.5, 9]), 3.0, Streams(2)))).arrival_s
    assert after[2] < 0.5 <= after[3] <= after[4] < 3.5
    assert 9 <= after[5] < 12


def test_jitter_refuses_more_at_once_than_memory_should_hold(monkeypatch):
    monkeypatch.setattr(transforms, "MAX_TICK_REQUESTS", 5)
    with pytest.raises(DataError, match=r"more than 5 requests at one instant.*jitter_s=0"):
        list(jittered(trace([1.0] * 6), 3.0, Streams(1)))


def test_cut_prompts_lose_the_hashes_beyond():
    (block,) = trace(range(4), sessions=[-1] * 4, blocks=1)
    after = cut(block, 9, 2)
    assert after.prompt_tokens.tolist() == [8, 9, 9, 9]
    assert after.output_tokens.tolist() == [1, 2, 2, 2]
    assert [len(one) for one in cut(block, 7, 9).traits.prefixes] == [1] * 4
    assert [len(one) for one in after.traits.prefixes] == [2] * 4


@settings(max_examples=30)
@given(st.lists(st.integers(1, 3 * BLOCK_REQUESTS), max_size=4), st.integers(1, 4000))
def test_recut_blocks_are_full_and_numbered(sizes, requests):
    starts = np.cumsum([0, *sizes])
    blocks = [
        RequestBlock(7, np.arange(a, b) * 1.0, np.arange(a, b), np.arange(a, b))
        for a, b in itertools.pairwise(starts)
    ]
    found = list(recut(iter(blocks), requests))
    kept = min(requests, int(starts[-1]))
    assert [block.first_id for block in found] == list(range(0, kept, BLOCK_REQUESTS))
    assert all(block.size == BLOCK_REQUESTS for block in found[:-1])
    if found:
        assert joined(found).prompt_tokens.tolist() == list(range(kept))
