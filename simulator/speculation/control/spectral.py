"""From the moments around one action to what each hidden state shows before, at and after it.

With the joint law ``P[i, j, k]`` of ``(o_{t-1}, o_t, o_{t+1})`` around an action, and ``K_xy`` the
joint law of views x and y, shape [O, O] (theorem 5.3 and equation 6 of the paper):

- modified views turn the first two into the third, ``v1~ = K_32 K_12^+ v1`` and ``v2~ = K_31 K_21^+
  v2``;
- ``M_2 = E[v1~ (x) v2~] = sum_s w_s m_s (x) m_s`` and ``M_3 = E[v1~ (x) v2~ (x) v3] = sum_s w_s m_s
  (x) m_s (x) m_s``, with m_s the column s of V_3;
- ``W = U D^(-1/2)`` of the top S eigenpairs of M_2 whitens: ``M_3(W, W, W)`` is a sum of S
  orthogonal cubes with values ``w_s^(-1/2)``, found by the tensor power method;
- ``m_s = value_s (W')^+ vector_s``, column s of V_2 is ``K_21 K_31^+ m_s`` and of V_1 ``K_12 K_32^+
  m_s``.

Pseudo-inverses keep the S largest singular values: in the limit there are no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.pomdp import Array
from simulator.speculation.control.tensor_power import robust_tensor_power


class Views(NamedTuple):
    """What states show around one action, states numbered as they were found.

    Parameters
    ----------
    first, second, third
        Columns ``P(o_{t-1} | s, a)``, ``O(. | s)`` and ``P(o_{t+1} | s, a)``, shape [O, S]; clipped
        to distributions.
    weights
        ``P(s_t = s | a_t = a)``, pooled, shape [S].
    """

    first: Array
    second: Array
    third: Array
    weights: Array

    def ordered(self, order: Sequence[int]) -> Views:
        """Return the same views with states in another order."""
        return Views(*(part[..., list(order)] for part in self))


def recover_views(joint: Array, states: int, generator: np.random.Generator) -> Views:
    """Recover the views of one action from the joint law of its triples.

    Parameters
    ----------
    joint
        ``P(o_{t-1}, o_t, o_{t+1})``, shape [O, O, O].
    states
        S, at most O.
    generator
        Where the tensor power method starts.

    Raises
    ------
    NotLearnableError
        If M_2 has fewer than S positive eigenvalues: too few data, or fewer states.
    """
    k12, k13, k23 = joint.sum(axis=2), joint.sum(axis=1), joint.sum(axis=0)
    first_to_third = k23.T @ _inverse(k12, states)
    second_to_third = k13.T @ _inverse(k12.T, states)
    pairs = first_to_third @ k12 @ second_to_third.T
    triples = np.einsum("ai,bj,ijk->abk", first_to_third, second_to_third, joint, optimize=True)
    sizes, axes = np.linalg.eigh((pairs + pairs.T) / 2.0)
    sizes, axes = sizes[::-1][:states], axes[:, ::-1][:, :states]
    if sizes[-1] <= 0:
        raise NotLearnableError(
            f"the whitened moments show {int(np.sum(sizes > 0))} states, not {states}: collect "
            "more intervals, or ask for fewer states."
        )
    white = axes / np.sqrt(sizes)
    cubes = robust_tensor_power(
        _symmetric(np.einsum("abc,ax,by,cz->xyz", triples, white, white, white, optimize=True)),
        generator,
    )
    third = (axes * np.sqrt(sizes)) @ cubes.vectors * cubes.values
    weights = 1.0 / np.maximum(cubes.values, np.finfo(float).tiny) ** 2
    return Views(
        distributions(k12 @ _inverse(k23.T, states) @ third),
        distributions(k12.T @ _inverse(k13.T, states) @ third),
        distributions(third),
        weights / weights.sum(),
    )


def distributions(columns: Array) -> Array:
    """Return columns clipped at nothing and scaled to sum 1; uniform where nothing is left."""
    clipped = np.maximum(columns, 0.0)
    sums = clipped.sum(axis=0, keepdims=True)
    even = np.full_like(clipped, 1.0 / len(clipped))
    return np.asarray(np.divide(clipped, sums, out=even, where=sums > 0))


def _inverse(matrix: Array, rank: int) -> Array:
    """Return the pseudo-inverse of the best approximation of a rank."""
    left, sizes, right = np.linalg.svd(matrix)
    return np.asarray((right[:rank].T / sizes[:rank]) @ left[:, :rank].T)


def _symmetric(tensor: Array) -> Array:
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    return np.asarray(sum(tensor.transpose(order) for order in orders) / len(orders))
