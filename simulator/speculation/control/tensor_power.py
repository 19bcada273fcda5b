"""Eigenvectors of a symmetric tensor that is a sum of orthogonal cubes.

Anandkumar, Ge, Hsu, Kakade and Telgarsky, "Tensor Decompositions for Learning Latent Variable
Models", JMLR 15, 2014: the robust tensor power method with deflation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.speculation.control.pomdp import Array

_RESTARTS, _ITERATIONS = 100, 100
"""As many as the paper's experiments use."""

_SETTLED = 1e-14
"""Iterates that move by less than this have converged; convergence is quadratic."""


class Cubes(NamedTuple):
    """``sum_k values_k vectors_k (x) vectors_k (x) vectors_k``.

    Parameters
    ----------
    values
        In the order found, shape [S].
    vectors
        Unit vectors, columns, shape [S, S].
    """

    values: Array
    vectors: Array


def robust_tensor_power(tensor: Array, generator: np.random.Generator) -> Cubes:
    """Decompose a symmetric tensor [S, S, S] into S orthogonal cubes, approximately.

    From random unit vectors ``theta <- T(I, theta, theta) / |T(I, theta, theta)|``. The restart
    that ends with the largest ``T(theta, theta, theta)`` is kept and subtracted, S times.

    Examples
    --------
    >>> basis = np.eye(2)
    >>> tensor = np.einsum("k,ik,jk,lk->ijl", [3.0, 2.0], basis, basis, basis)
    >>> robust_tensor_power(tensor, np.random.default_rng(1)).values.round(9).tolist()
    [3.0, 2.0]
    """
    size = len(tensor)
    rest, values, vectors = np.array(tensor, float), np.zeros(size), np.zeros((size, size))
    for found in range(size):
        theta = _unit(generator.standard_normal((_RESTARTS, size)))
        for _ in range(_ITERATIONS):
            previous, theta = theta, _unit(_applied(rest, theta))
            if np.abs(theta - previous).max() < _SETTLED:
                break
        heights = np.einsum("rs,rs->r", theta, _applied(rest, theta))
        best = int(np.argmax(heights))
        values[found], vectors[:, found] = heights[best], theta[best]
        cube = np.einsum("i,j,k->ijk", theta[best], theta[best], theta[best])
        rest = rest - heights[best] * cube
    return Cubes(values, vectors)


def _applied(tensor: Array, theta: Array) -> Array:
    """Return ``T(I, theta, theta)`` of every row, shape [restarts, S]."""
    pairs = (theta[:, :, None] * theta[:, None, :]).reshape(len(theta), -1)
    return np.asarray(pairs @ tensor.reshape(len(tensor), -1).T)


def _unit(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(float).tiny))
