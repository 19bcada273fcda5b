"""The resident set followed step by step: against a plain implementation, and by counts."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.experts.config import LRU, PINNED, OffloadConfig
from simulator.experts.offload import ExpertStore, most_used
from simulator.experts.prefetch import PREFETCHERS, LastToken

EXPERTS, LAYERS = 6, 2


class PlainLru:
    """One layer, one expert at a time: the same rules in other words."""

    def __init__(self, resident):
        self.recent = sorted(resident, reverse=True)  # the last used at the end
        self.capacity = len(resident)

    def step(self, chosen):
        missing = len(set(chosen) - set(self.recent))
        for expert in chosen:
            if expert in self.recent:
                self.recent.remove(expert)
            self.recent.append(expert)
        del self.recent[: -self.capacity]
        return missing


routes = st.lists(
    st.integers(1, 5).flatmap(
        lambda copies: st.lists(
            st.lists(st.integers(0, EXPERTS - 1), min_size=copies, max_size=copies),
            min_size=LAYERS,
            max_size=LAYERS,
        )
    ),
    min_size=1,
    max_size=12,
)


def popular_first(resident, layers=LAYERS, experts=EXPERTS):
    """A resident set of the first experts."""
    return most_used(np.tile(np.arange(experts, 0, -1), (layers, 1)), resident)


@settings(max_examples=40)
@given(routes, st.integers(1, EXPERTS))
def test_all_layers_at_once_equal_one_expert_at_a_time(steps, resident):
    store = ExpertStore(popular_first(resident), LRU)
    plain = [PlainLru(range(resident)) for _ in range(LAYERS)]
    for chosen in steps:
        loads = store.step(np.array(chosen))
        assert loads.missing.tolist() == [
            one.step(used) for one, used in zip(plain, chosen, strict=True)
        ]
        assert loads.distinct.tolist() == [len(set(used)) for used in chosen]
        held = [set(np.flatnonzero(layer)) for layer in store.resident]
        assert held == [set(one.recent) for one in plain]


def test_pinned_experts_stay_and_all_others_are_brought_every_time():
    store = ExpertStore(most_used(np.array([[5, 1, 7, 0]]), resident=2), PINNED)
    for _ in range(2):
        assert store.step(np.array([[0, 1, 3, 1]])).missing.tolist() == [2]
        assert store.resident.tolist() == [[True, False, True, False]]


def test_a_step_that_needs_more_than_fit_brings_each_of_the_others_once():
    store = ExpertStore(popular_first(2, layers=1), LRU)
    everything = np.arange(EXPERTS)[None].repeat(2, axis=1)
    for _ in range(3):
        assert store.step(everything).missing.tolist() == [EXPERTS - 2]


def test_prefetched_experts_are_the_best_missing_ones_and_last_for_one_step():
    store = ExpertStore(
        popular_first(2, layers=1), PINNED, prefetcher=LastToken(EXPERTS), prefetch_slots=2
    )
    first = store.step(np.array([[0, 3, 4, 4, 5, 5]]))  # nothing is known of a step before
    assert (first.missing.tolist(), first.prefetched.tolist()) == ([3], [0])
    second = store.step(np.array([[4, 5, 3]]))  # 4 and 5 were brought, 3 had the fewest copies
    assert (second.missing.tolist(), second.prefetched.tolist()) == ([1], [2])
    third = store.step(np.array([[0, 1]]))
    assert (third.missing.tolist(), third.prefetched.tolist()) == ([0], [2])
    fourth = store.step(np.array([[2, 2]]))  # residents need no prefetch
    assert (fourth.missing.tolist(), fourth.prefetched.tolist()) == ([1], [0])


class All:
    """A prefetcher that wants every expert of every layer."""

    def __init__(self, resident):
        self._all = np.ones(resident.shape)

    def scores(self, before, drafts):
        return self._all


def test_a_step_costs_the_same_calls_however_many_layers_and_experts():
    def calls(layers, experts):
        resident = popular_first(experts // 2, layers, experts)
        store = ExpertStore(resident, LRU, prefetcher=All(resident), prefetch_slots=2)
        chosen = np.random.default_rng(0).integers(experts, size=(layers, 32))
        store.step(chosen)
        seen = []
        sys.setprofile(lambda frame, event, arg: seen.append(event))
        try:
            store.step(chosen)
        finally:
            sys.setprofile(None)
        return len(seen)

    assert calls(2, 8) == calls(48, 128) < 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": "lfu"}, "unknown offload policy 'lfu'"),
        ({"resident_experts": 0}, "must be at least 1"),
        ({"host_bandwidth": 0.0}, "must lie in 1e6"),
        ({"prefetch": "last_token"}, "a prefetcher needs a slot"),
        ({"prefetch_experts": 2}, "slots need a prefetcher"),
        ({"prefetch": "last_token", "prefetch_experts": 2}, "keeps anyway; take policy=pinned"),
    ],
)
def test_settings_without_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        OffloadConfig(**({"resident_experts": 8} | settings))


def test_an_unknown_prefetcher_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'last_token'"):
        PREFETCHERS.get("last_tokens")


def test_where_all_that_is_wanted_is_there_no_room_is_given_up():
    class First:
        def scores(self, before, drafts):
            return np.array([[1.0, 0.0, 0.0, 0.0]])

    store = ExpertStore(popular_first(2, 1, 4), LRU, prefetcher=First(), prefetch_slots=1)
    store.step(np.array([[0, 1, 2]]))
    assert store.resident.sum() == 3  # the last used keep the slot
