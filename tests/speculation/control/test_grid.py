import numpy as np
import pytest

from simulator.speculation.control.grid import BeliefGrid


@pytest.mark.parametrize(("states", "divisions"), [(1, 3), (2, 7), (3, 5), (4, 6)])
def test_points_are_all_multiples_and_each_is_its_own_nearest(states, divisions):
    grid = BeliefGrid(states, divisions)
    np.testing.assert_allclose(grid.points.sum(axis=1), 1.0)
    np.testing.assert_array_equal(grid.nearest(grid.points), np.arange(len(grid)))
    counts = np.rint(grid.points * divisions)
    assert len(np.unique(counts, axis=0)) == len(grid)


@pytest.mark.parametrize(("states", "divisions"), [(1, 3), (2, 7), (3, 5), (4, 6)])
def test_corners_are_near_and_make_the_belief(states, divisions):
    grid = BeliefGrid(states, divisions)
    beliefs = np.random.default_rng(1).dirichlet(np.full(states, 0.4), 300)
    corners = grid.corners(np.vstack([beliefs, grid.points, np.eye(states)]))
    made = np.einsum("bk,bks->bs", corners.weights, grid.points[corners.points])
    np.testing.assert_allclose(made, np.vstack([beliefs, grid.points, np.eye(states)]), atol=1e-12)
    assert corners.weights.min() >= -1e-12
    spread = np.abs(grid.points[corners.points] - made[:, None]).max(axis=(1, 2))
    assert np.all(spread <= 1 / divisions + 1e-12)
    assert np.abs(grid.points[grid.nearest(beliefs)] - beliefs).max() <= 1 / divisions + 1e-12
