"""The published example: what sums of hidden digits determine (arXiv 2503.16797, section 4)."""

from itertools import combinations
from math import lcm

import numpy as np
import pytest

from simulator.streams import Streams
from simulator.study.identify.digits import cluster, digit_sums
from simulator.study.identify.problem import Constraint, Problem, aggregate
from simulator.study.identify.solutions import (
    all_solutions,
    backbone,
    count_solutions,
    error_bound,
    sample_bound,
)

TABLE = {
    # k: solutions, d / L, mean error of a solution (E*)
    2: (28800, 1.0, 0.9),
    3: (864, 1.0, 0.7),
    4: (144, 1.0, 0.6),
    5: (32, 1.0, 0.5),
    6: (16, 0.8, 0.4),
    7: (8, 0.6, 0.3),
    8: (4, 0.4, 0.2),
    9: (2, 0.2, 0.1),
    10: (2, 1.0, 0.5),
    None: (1, 0.0, 0.0),
}
AMBIGUOUS = {(2, 3), (2, 4), (2, 5), (2, 6), (2, 8), (2, 10), (3, 6), (3, 9), (4, 8), (5, 10)}


@pytest.mark.parametrize("modulus", TABLE)
def test_solutions_and_disagreement(modulus):
    problem = digit_sums(modulus)
    solutions, bound, _ = TABLE[modulus]
    found = backbone(problem)
    assert count_solutions(problem) == solutions
    assert error_bound(tuple(problem.domains), found.free) == bound
    assert found.solves <= 11


@pytest.mark.parametrize("modulus", TABLE)
def test_the_mean_error_of_solutions_is_within_the_bound(modulus):
    """Theorem 3.7 by enumeration."""
    _, bound, error = TABLE[modulus]
    shown = [
        [solution[cluster(digit)] for digit in range(10)]
        for solution in all_solutions(digit_sums(modulus))
    ]
    mean = float(np.mean(np.array(shown) != np.arange(10)))
    assert mean == pytest.approx(error)
    assert mean <= bound


def test_which_pairs_of_moduli_stay_ambiguous():
    """Two moduli act as their least common multiple: unique if and only if it is above 10."""
    ambiguous = set()
    for pair in combinations(range(2, 11), 2):
        if count_solutions(aggregate([digit_sums(k) for k in pair]), cap=2) > 1:
            ambiguous.add(pair)
    assert ambiguous == AMBIGUOUS
    assert ambiguous == {p for p in combinations(range(2, 11), 2) if lcm(*p) <= 10}


@pytest.mark.parametrize(("pair", "solutions", "free"), [((2, 3), 16, 8), ((3, 4), 1, 0)])
def test_two_moduli_together(pair, solutions, free):
    problem = aggregate([digit_sums(k) for k in pair])
    assert count_solutions(problem) == solutions
    assert backbone(problem).disagreement == free


def test_without_all_different_the_bound_of_mod_eight_is_gone():
    problem = digit_sums(8, injective=False)
    assert count_solutions(problem) == 20
    assert backbone(problem).disagreement == 10


def test_exclusive_or_determines_nothing():
    # Pictures of equal digits give 0 whatever they show; those of different digits give 1.
    different = Constraint(("zero", "one"), lambda x, y: x ^ y == 1, "0 xor 1 = 1")
    problem = Problem({"zero": [0, 1], "one": [0, 1]}, [different], injective=True)
    assert count_solutions(problem) == 2
    assert error_bound(("zero", "one"), backbone(problem).free) == 1


def test_few_pairs_leave_more_solutions_than_all():
    assert count_solutions(digit_sums(None, [(0, 1)]), cap=2) == 2
    assert count_solutions(digit_sums(None, []), cap=50) == 50


def test_the_sample_bound_holds_by_simulation_and_is_loose():
    """Theorem 3.6: P(some sequence unseen) <= |B| exp(-kappa N), for uniform pairs of digits."""
    streams, runs = Streams(seed=0), 2000
    for samples in (300, 500, 761):
        random = streams.block("identify.pairs", samples)
        drawn = random.integers(0, 100, size=(runs, samples))
        unseen = np.mean([len(np.unique(row)) < 100 for row in drawn])
        bound = 100 * np.exp(-samples / 100)
        assert unseen <= bound + 4 * np.sqrt(min(1, bound) / runs)
    assert sample_bound(1 / 100, 100, 0.05) == 761


def test_addition_is_unique_long_before_the_bound():
    """It waits for every pair; 40 random pairs were enough in nine of ten draws."""
    streams, unique = Streams(seed=0), 0
    for index in range(20):
        drawn = streams.block("identify.pairs", index).integers(0, 10, size=(40, 2))
        unique += count_solutions(digit_sums(None, map(tuple, drawn.tolist())), cap=2) == 1
    assert unique >= 18


def test_labels_read_as_sums():
    assert digit_sums(None, [(3, 4)]).constraints[0].label == "3 + 4 = 7"
    assert digit_sums(5, [(3, 3)]).constraints[0].label == "(3 + 3) mod 5 = 1"
