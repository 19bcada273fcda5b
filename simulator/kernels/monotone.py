"""Measured times made monotone: more work never takes less time.

A product of m tokens can be padded to any larger m, so its true best time does not fall as m grows.
Measured times do, by a few percent between neighbours: noise, and kernel choices that a larger
product would not have needed. Isotonic regression is the least-squares answer: within each group of
rows it averages what falls and leaves real steps (tiles, waves) where they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from simulator.kernels.cleaning import series
from simulator.kernels.schema import Operator, Rows


def monotone_seconds(operator: Operator, rows: Rows) -> NDArray[np.float64]:
    """Return the times, nondecreasing along the operator's last key.

    Parameters
    ----------
    operator
        Says which columns identify a group, and which key it grows along.
    rows
        Its rows, in any order.

    Returns
    -------
    float64[rows]
        ``exp`` of the isotonic least-squares fit to ``log(seconds)``, group by group, in the order
        of the rows.
    """
    others = [name for name in operator.identity if name != operator.grow_along]
    groups = series(rows, others)
    order = np.lexsort([rows[operator.grow_along], groups])
    logs = np.log(rows["seconds"][order])
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    fitted = [isotonic_regression(part).x for part in np.split(logs, starts[1:])]
    seconds = np.empty(len(logs))
    seconds[order] = np.exp(np.concatenate(fitted))
    return seconds
