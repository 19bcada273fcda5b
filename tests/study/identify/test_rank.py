"""Rank and null directions of Jacobians whose answers are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.study.identify.rank import identifiability


def words(found):
    return [direction.words for direction in found.null_directions]


def test_full_rank_leaves_nothing_free():
    found = identifiability(np.eye(3), ["a", "b", "c"])
    assert (found.rank, found.free, found.null_directions) == (3, (), ())
    assert found.determined


def test_fewer_measurements_than_unknowns():
    found = identifiability(np.array([[1.0, 2.0, 0.0]]), ["a", "b", "c"])
    assert found.rank == 1
    assert words(found) == ["c alone: no measurement feels it", "a against b"]
    assert found.singular_values == pytest.approx([5**0.5, 0, 0])


def test_a_ratio_leaves_the_scale_free_and_the_name_given_is_used():
    # y1 = a/b, y2 = a/c: only the common factor of all three is free.
    jacobian = np.array([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]])
    known = {"all times scale together": np.ones(3), "not a null direction": np.array([1.0, 0, 0])}
    found = identifiability(jacobian, ["a", "b", "c"], known)
    assert words(found) == ["all times scale together"]
    assert found.null_directions[0].changes == pytest.approx({"a": 1, "b": 1, "c": 1})


def test_a_sum_leaves_its_terms_against_each_other_beside_the_scale():
    # y = (a + b) / c at a = b = c = 1: scale, and a against b.
    found = identifiability(
        np.array([[1.0, 1.0, -2.0]]), ["a", "b", "c"], {"scale": np.array([1.0, 1.0, 1.0])}
    )
    assert words(found) == ["scale", "a against b"]


def test_a_direction_of_many_unknowns_is_still_found():
    count = 6  # one constraint on each neighbouring pair: all move together
    jacobian = np.eye(count)[:-1] - np.eye(count)[1:]
    found = identifiability(jacobian, list("abcdef"))
    assert words(found) == ["a and b and c and d and e and f together"]


def test_nothing_measured_determines_nothing():
    found = identifiability(np.zeros((0, 2)), ["a", "b"])
    assert (found.rank, found.free) == (0, ("a", "b"))
    assert len(found.null_directions) == 2


@given(
    rank=st.integers(0, 5),
    rows=st.integers(5, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_null_directions_are_a_basis_of_what_no_measurement_feels(rank, rows, seed):
    random = np.random.default_rng(seed)
    names = list("abcde")
    jacobian = random.normal(size=(rows, rank)) @ random.normal(size=(rank, 5))
    found = identifiability(jacobian, names)
    assert found.rank == rank
    assert len(found.null_directions) == 5 - rank
    basis = np.array([[d.changes.get(n, 0.0) for n in names] for d in found.null_directions])
    if rank < 5:
        assert np.linalg.matrix_rank(basis, tol=1e-6) == 5 - rank
        assert np.abs(jacobian @ basis.T).max(initial=0) < 1e-2  # changes below 1e-4 are cut
