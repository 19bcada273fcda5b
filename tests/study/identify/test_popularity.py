"""Popularity tiers from rank totals, against listing every assignment of tiers."""

from itertools import product

import numpy as np
import pytest

from simulator.study.identify.placements import read_placement, shuffled
from simulator.study.identify.popularity import Totals, assumed_tiers, tier_backbone

TOKENS = np.array([1.0, 2.0, 3.0, 4.0])


def totals(experts, ranks, count, seed=0, tolerance=0.0, tokens=TOKENS):
    places = tuple(read_placement(shuffled(n), experts, ranks, "test") for n in range(1, count + 1))
    return Totals(tokens, assumed_tiers(experts, len(tokens), seed), places, tolerance)


def course(experts, ranks, seed, most):
    """Return d after each placement until it is 0."""
    found, seen = None, []
    for count in range(1, most + 1):
        found = tier_backbone(totals(experts, ranks, count, seed), found.twins if found else ())
        seen.append(int(found.free.sum()))
        if seen[-1] == 0:
            break
    return seen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tolerance", [0.0, 0.15])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_backbone_is_where_all_agreeing_tiers_agree(seed, tolerance, count):
    tokens = np.array([1.0, 3.0, 4.0])
    problem = totals(6, 3, count, seed, tolerance, tokens)
    every = np.array(
        [
            tiers
            for tiers in product(range(3), repeat=6)
            if all(problem.agree(np.array(tiers), place) for place in problem.placements)
        ]
    )
    found = tier_backbone(problem)
    assert found.free.tolist() == (every != every[0]).any(axis=0).tolist()
    assert all(tuple(twin) in set(map(tuple, every.tolist())) for twin in found.twins)
    assert found.solves <= 7


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (0, [16, 16, 6, 0]),
        (1, [16, 16, 16, 4, 0]),
        (2, [16, 16, 16, 4, 0]),
        (3, [16, 16, 0]),
        (4, [16, 16, 8, 0]),
        (5, [16, 16, 12, 4, 0]),
    ],
)
def test_sixteen_experts_on_four_ranks_are_determined_after_a_few_placements(seed, expected):
    """Stream ``identify.tiers`` of each seed, placements ``shuffled 1, 2, ...``: draws differ."""
    assert course(16, 4, seed, most=8) == expected


@pytest.mark.slow
def test_sixty_four_experts_on_eight_ranks_are_determined_after_six_placements():
    """Seed 0. After the fifth, 53 are left; that search takes minutes and is not repeated here.

    Searches are hardest just before the tiers are determined.
    """
    found = [tier_backbone(totals(64, 8, count)).free.sum() for count in (1, 2, 3, 4, 6)]
    assert found == [64, 64, 64, 64, 0]


def test_a_tolerance_leaves_more_open():
    exact, loose = (tier_backbone(totals(16, 4, 4, tolerance=t)) for t in (0.0, 0.2))
    assert not exact.free.any()
    assert loose.free.all()


def test_known_twins_that_still_agree_save_searches():
    problem = totals(16, 4, 2)
    first = tier_backbone(problem)
    again = tier_backbone(problem, first.twins)
    assert again.free.tolist() == first.free.tolist()
    assert again.solves < first.solves


def test_placements_are_even_and_the_same_each_time():
    for word in ("contiguous", "round_robin", "shuffled 7"):
        placed = read_placement(word, 12, 3, "test")
        assert [len(rank) for rank in placed] == [4, 4, 4]
        assert sorted(expert for rank in placed for expert in rank) == list(range(12))
        assert placed == read_placement(word, 12, 3, "test")
    assert read_placement("contiguous", 4, 2, "test") == ((0, 1), (2, 3))
    assert read_placement([[3, 0], [1, 2]], 4, 2, "test") == ((3, 0), (1, 2))
