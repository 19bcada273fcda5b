"""Placements: what each rank holds, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, DataError
from simulator.experts.load_aware import load_aware
from simulator.experts.placement import EMPTY, Placement, contiguous, round_robin
from simulator.experts.placement_file import from_file, write_placement

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40)).filter(lambda s: s[1] <= s[0])


@pytest.mark.parametrize("place", [contiguous, round_robin])
@settings(max_examples=25)
@given(shapes)
def test_every_expert_lies_on_one_rank_and_ranks_differ_by_one(place, shape):
    placed = place(*shape)
    held = placed.slots[placed.slots != EMPTY]
    assert np.sort(held).tolist() == list(range(shape[0]))
    per_rank = (placed.slots != EMPTY).sum(axis=-1)
    assert per_rank.max() - per_rank.min() <= 1
    assert placed.shares.sum(axis=1) == pytest.approx(np.ones((1, shape[0])))


def test_replicas_share_tokens_evenly_and_are_told_apart():
    placed = Placement(3, 3, np.array([[[0, 1], [0, 2], [0, EMPTY]]]))
    assert placed.replicas.tolist() == [[3, 1, 1]]
    assert placed.weights[0].tolist() == [[1 / 3, 1], [1 / 3, 1], [1 / 3, 0]]
    assert placed.orders[0, :, 0].tolist() == [0, 1, 2]
    assert placed.shares[0, 2].tolist() == [1 / 3, 0, 0]


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([[0, 1], [2, 2]], r"misses 1 of 4 experts \(3\)"),
        ([[0, 0], [1, 2], [3, 1]], "puts expert 0 on rank 0 more than once"),
        ([[0, 1], [2, 4]], "names expert 4; experts are 0 to 3"),
        ([0, 1, 2, 3], "needs a table of slots"),
    ],
)
def test_impossible_placements_are_refused(slots, message):
    with pytest.raises(ConfigError, match=message):
        Placement(4, len(slots) if np.ndim(slots) == 2 else 2, np.array(slots))


@pytest.mark.parametrize("place", [contiguous, round_robin])
def test_more_ranks_than_experts_are_refused_with_the_remedy(place):
    with pytest.raises(ConfigError, match=r"at most 4 ranks, or .*experts.redundant=2 or more"):
        place(4, 6)


def slowest(loads, placed):
    """Load of the slowest rank over the mean, from the slots alone."""
    slots = placed.slots[0].tolist()
    held = [expert for row in slots for expert in row]
    by_rank = [sum(loads[e] / held.count(e) for e in row if e != EMPTY) for row in slots]
    return max(by_rank) * placed.ranks / sum(loads)


@settings(max_examples=40)
@given(st.data())
def test_load_aware_places_what_is_asked_for_and_leaves_no_rank_a_whole_slot_above_the_mean(data):
    experts, ranks = data.draw(shapes)
    redundant = data.draw(st.integers(0, min(2 * ranks, experts * (ranks - 1))))
    loads = np.array(data.draw(st.lists(st.floats(0.1, 100), min_size=experts, max_size=experts)))
    placed = load_aware(loads, ranks, redundant)
    assert placed.replicas.sum() == experts + redundant
    heaviest = (loads / placed.replicas[0]).max()
    mean = loads.sum() / ranks
    assert slowest(loads.tolist(), placed) * mean <= mean + heaviest + 1e-9


def test_replicas_cut_the_slowest_rank_to_what_a_search_of_all_placements_finds():
    loads = [8.0, 4.0, 2.0, 2.0]
    found = {
        redundant: slowest(loads, load_aware(np.array(loads), 2, redundant))
        for redundant in (0, 1, 2)
    }
    best = {
        0: least_slowest(loads, ()),
        2: min(least_slowest(loads, extra) for extra in itertools.combinations(range(4), 2)),
    }
    assert found[0] == best[0] == 1.25
    assert found[2] == best[2] == 1.0


def least_slowest(loads, replicated):
    """Go through all ways to put four experts, some twice, on two ranks of equal room."""
    copies = [*range(4), *replicated]
    weight = {e: loads[e] / copies.count(e) for e in copies}
    halves = itertools.combinations(range(len(copies)), len(copies) // 2)
    return min(
        max(weighed, sum(loads) - weighed) * 2 / sum(loads)
        for half in halves
        if len(names := {copies[c] for c in half}) == len(half)
        and len({copies[c] for c in range(len(copies)) if c not in half}) == len(half)
        for weighed in [sum(weight[e] for e in names)]
    )


def test_groups_stay_within_a_node():
    loads = np.random.default_rng(2).gamma(1.0, size=(3, 32))
    placed = load_aware(loads, ranks=8, redundant=8, groups=8, nodes=4)
    for layer in placed.slots:
        nodes = layer.reshape(4, -1)
        groups = [set((node // 4).tolist()) for node in nodes]
        assert [len(held) for held in groups] == [2] * 4
        assert set.union(*groups) == set(range(8))


@pytest.mark.parametrize(("ranks", "redundant"), [(2, 2), (4, 10)])
def test_replicas_that_find_no_rank_within_a_node_go_to_others(ranks, redundant):
    placed = load_aware(np.arange(8.0), ranks, redundant, groups=2, nodes=2)
    assert placed.replicas.sum() == 8 + redundant


def test_a_placement_survives_its_file(tmp_path):
    placed = load_aware(np.random.default_rng(1).gamma(1.0, size=(2, 7)), ranks=3, redundant=1)
    write_placement(placed, tmp_path / "p.yaml")
    assert from_file(tmp_path / "p.yaml", 7, 3).slots.tolist() == placed.slots.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experts: 4\nlayers: [[[0, 1], [2, 2]]]", r"p.yaml: the placement .* misses 1 of 4"),
        ("experts: 4\nlayers: [[[0, 0, 1], [2, 3]]]", "puts expert 0 on rank 0 more than once"),
        ("experts: 8\nlayers: [[[0, 1], [2, 3]]]", "it is for another model"),
        ("experts: 4\nlayers: [[[0, 1, 2, 3]]]", "on 1 ranks, but hardware.expert_parallel is 2"),
        ("experts: 4\nlayers: [[[0, 1], [2, x]]]", "layer 0 must be a list of ranks"),
        (f"experts: 4\nlayers: [[[0, 1], [2, {10**30}]]]", "layer 0 must be a list of ranks"),
        ("experts: 4\nlayers: 3", "layers must be a list of tables"),
        ("experts: 4\nlayer: []", "must state experts and layers"),
        ("experts: 4\nlayers: []\nrank: 1", "unknown key 'rank'"),
        ("experts: [", "is no YAML"),
    ],
)
def test_files_that_place_nothing_are_refused(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        from_file(tmp_path / "p.yaml", 4, 2)


def test_a_placement_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"experts\.placement=.*No such file"):
        from_file(tmp_path / "p.yaml", 4, 2)


def test_replicas_of_no_use_are_refused():
    with pytest.raises(ConfigError, match="at most 4 are of use"):
        load_aware(np.ones(4), 2, redundant=5)
    with pytest.raises(ConfigError, match="3 nodes do not divide 8 ranks"):
        load_aware(np.ones(8), 8, nodes=3)
