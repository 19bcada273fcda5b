"""The arithmetic of arXiv 2503.16797: which digits are determined by sums of hidden digits.

A picture shows a digit; training sees pairs of pictures and ``(z1 + z2) mod k`` only. The unknowns
are the ten clusters of pictures, the true answer is that cluster i shows digit i.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from simulator.study.identify.problem import Constraint, Problem

DIGITS = range(10)


def cluster(digit: int) -> str:
    """Name the unknown: the digit that this cluster of pictures shows.

    Examples
    --------
    >>> cluster(3)
    'z3'
    """
    return f"z{digit}"


def digit_sums(
    modulus: int | None,
    pairs: Iterable[tuple[int, int]] | None = None,
    *,
    injective: bool = True,
) -> Problem:
    """Return the problem of pairs of digits with their sums.

    Parameters
    ----------
    modulus
        k, >= 2; None for plain addition.
    pairs
        Pairs of digits seen; all hundred by default.
    injective
        Whether clusters are known to show different digits.

    Examples
    --------
    >>> digit_sums(10, [(2, 9)]).constraints[0].label
    '(2 + 9) mod 10 = 1'
    """
    seen = product(DIGITS, DIGITS) if pairs is None else pairs
    constraints = [_sum(a, b, modulus) for a, b in seen]
    domains = {cluster(digit): list(DIGITS) for digit in DIGITS}
    return Problem(domains, constraints, injective)


def _sum(a: int, b: int, modulus: int | None) -> Constraint:
    k = modulus or 2 * len(DIGITS)  # no sum of two digits reaches it
    total = (a + b) % k
    label = f"({a} + {b}) mod {modulus} = {total}" if modulus else f"{a} + {b} = {total}"
    if a == b:
        return Constraint((cluster(a),), lambda z: 2 * z % k == total, label)
    return Constraint((cluster(a), cluster(b)), lambda y, z: (y + z) % k == total, label)
