"""Prefix reuse: all cache sizes at once, against caches that are really kept."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.study.workloads import reuse
from simulator.study.workloads.reuse import LastUses, PrefixReuse, hits
from simulator.workload.requests import RequestBlock, RequestTraits


class Kept:
    """A cache with so much room, kept piece by piece."""

    def __init__(self, room):
        self.room, self.held = room, OrderedDict()

    def use(self, chain):
        there = next((n for n, one in enumerate(chain) if one not in self.held), len(chain))
        for one in reversed(chain):
            self.held[one] = None
            self.held.move_to_end(one)
        while len(self.held) > self.room:
            self.held.popitem(last=False)
        return there


def chain_of(text):
    """Hashes of the beginnings of a text."""
    return tuple(hash(text[: n + 1]) for n in range(len(text)))


texts = st.lists(st.lists(st.integers(0, 2), max_size=7).map(tuple), max_size=40)


@given(texts)
def test_every_size_is_as_if_it_were_kept(texts):
    uses, caches = LastUses(), [Kept(room) for room in (1, 2, 3, 5, 9, 20, 10_000)]
    for chain in map(chain_of, texts):
        stretches = uses.use(chain)
        assert [hits(stretches, one.room) for one in caches] == [one.use(chain) for one in caches]


def test_many_requests_cross_chunks():
    generator, uses, cache = np.random.default_rng(1), LastUses(), Kept(700)
    for _ in range(3 * reuse._CHUNK):
        chain = chain_of(tuple(generator.zipf(1.5, 3).tolist()))
        assert hits(uses.use(chain), 700) == cache.use(chain)


def test_what_was_used_longest_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr(reuse, "MOST_PIECES", 10)
    uses = LastUses()
    for number in range(8):
        uses.use(chain_of((number, 1, 1)))
    assert uses.limited
    assert len(uses._user) <= 20
    assert hits(uses.use(chain_of((7, 1, 1))), 100) == 3
    assert hits(uses.use(chain_of((0, 1, 1))), 100) == 0


def block(prompts, prefixes, hash_tokens=16):
    n = len(prompts)
    ints = np.zeros(n, dtype=np.int64)
    traits = RequestTraits(ints, ints, ints, ints - 1, np.full(n, np.inf), prefixes, hash_tokens)
    return RequestBlock(0, np.arange(float(n)), np.array(prompts), np.ones(n, np.int64), traits)


def test_shares_of_prompt_tokens():
    found = PrefixReuse(cache_tokens=(32, 1000))
    found.add(block([40, 40, 20], [(1, 2), (5, 6), (1, 2)]))
    found.add(block([4], [()]))
    assert found.prompt_tokens == 104
    assert found.requests == 3
    assert found.share(None) == found.share(1000) == pytest.approx(20 / 104)  # not 32: the prompt
    assert found.share(32) == 0.0
    assert found.shares == pytest.approx(1.0)


def test_requests_that_tell_nothing():
    found = PrefixReuse(cache_tokens=())
    found.add(RequestBlock(0, np.zeros(1), np.array([9]), np.array([1])))
    assert (found.requests, found.share(None)) == (0, 0.0)
