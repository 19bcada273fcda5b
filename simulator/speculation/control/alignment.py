"""One numbering of the states for all actions.

Each action's moments give its states in an order of their own. The paper aligns every action to
the most visited one by the distance of observation columns; its released code aligns to the true
matrix, which no learner has. Here the most visited action is the reference, and the assignment of
least total distance is found exactly (Hungarian method) instead of column by column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from simulator.speculation.control.pomdp import Array


def best_order(columns: Array, reference: Array) -> NDArray[np.int64]:
    """Return the order of the columns that lies nearest to a reference in 1-norm.

    Parameters
    ----------
    columns, reference
        One column per state, shape [O, S].

    Returns
    -------
    ndarray
        Indices such that ``columns[:, order]`` matches ``reference``, shape [S].

    Examples
    --------
    >>> reference = np.array([[0.9, 0.2], [0.1, 0.8]])
    >>> best_order(reference[:, ::-1], reference).tolist()
    [1, 0]
    """
    distances = np.abs(reference[:, :, None] - columns[:, None, :]).sum(axis=0)
    return np.asarray(linear_sum_assignment(distances)[1], np.int64)
