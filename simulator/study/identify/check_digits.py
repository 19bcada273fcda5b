"""A plan about hidden digits, checked: the published example."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from simulator.errors import ConfigError
from simulator.study.identify.check import EPSILON, EPSILON_RANGE, Check, Twin, cover
from simulator.study.identify.digits import DIGITS, cluster, digit_sums
from simulator.study.identify.plan_file import PlanFile
from simulator.study.identify.problem import Constraint, Problem, Value, aggregate
from simulator.study.identify.solutions import (
    CAP,
    all_solutions,
    backbone,
    count_solutions,
    sample_bound,
)

_LISTED = 2_000
"""Solutions that candidates are tried on; the choice is verified on all."""

_TWINS = 3

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Settings of a plan about digits."""

    moduli: tuple[int, ...] = ()
    """Sums modulo each of them are told; none means plain sums."""

    injective: bool = True
    epsilon: float = EPSILON
    cap: int = CAP


def check_digits(plan: PlanFile, advance: Callable[[float], None]) -> Check:
    """Check a plan about digits.

    Parameters
    ----------
    plan
        With ``moduli`` (plain sums without), ``pairs`` (all hundred without), ``injective``.
    advance
        Told of work done, 1 in all.

    Raises
    ------
    ConfigError
        If the plan is malformed.
    """
    settings = plan.settings(Digits, apart=("pairs", "weights"))
    plan.refuse_unless(0 < settings.epsilon < 1, "epsilon", EPSILON_RANGE)
    plan.refuse_unless(settings.cap > 1, "cap", "at least 2")
    moduli: Sequence[int | None] = settings.moduli or (None,)
    if any(k is not None and k < 2 for k in moduli):
        raise ConfigError(f"{plan.place('moduli')}: a modulus must be at least 2.")
    pairs = _pairs(plan)
    problem = aggregate([digit_sums(k, pairs, injective=settings.injective) for k in moduli])
    weights = plan.weights(problem.domains)
    found, count = backbone(problem), count_solutions(problem, settings.cap)
    others = [s for s in islice(all_solutions(problem), _LISTED) if not _true(s)]
    extra, suffices = _extra(problem, moduli, pairs, others)
    advance(1)
    sequences = len(set(pairs)) * len(moduli)
    return Check(
        knowledge="digits",
        unknowns=tuple(problem.domains),
        rows=tuple(constraint.label for constraint in problem.constraints),
        assumed="cluster zi shows digit i",
        solutions=count,
        exact=count < settings.cap,
        pinned={name: str(value) for name, value in found.pinned.items()},
        weights=weights,
        samples=sample_bound(1 / sequences, sequences, settings.epsilon),
        samples_words=f"random ones of the {sequences} sums",
        unique_after=_unique_after(problem) if count == 1 else None,
        twins=tuple(_twin(solution) for solution in others[:_TWINS]),
        extra=extra,
        extra_suffices=suffices,
        graph=problem.graph(),
    )


def _pairs(plan: PlanFile) -> list[Pair]:
    if "pairs" not in plan.content:
        return list(product(DIGITS, DIGITS))
    pairs = []
    for index, pair in enumerate(plan.entries("pairs")):
        if not isinstance(pair, list) or len(pair) != 2 or not set(pair) <= set(DIGITS):
            raise ConfigError(f"{plan.place('pairs', index)}: {pair!r} must be two digits: [3, 8].")
        pairs.append((pair[0], pair[1]))
    if not pairs:
        raise ConfigError(f"{plan.place('pairs')} is empty; leave it out for all hundred pairs.")
    return pairs


def _true(solution: dict[str, Value]) -> bool:
    return all(solution[cluster(digit)] == digit for digit in DIGITS)


def _twin(solution: dict[str, Value]) -> Twin:
    changes = {
        cluster(digit): (str(digit), str(solution[cluster(digit)]))
        for digit in DIGITS
        if solution[cluster(digit)] != digit
    }
    return Twin(changes, f"reads {len(changes)} of 10 digits wrong and every sum right")


def _unique_after(problem: Problem) -> int:
    """Return how many constraints, in order, leave one solution; all of them do."""

    def unique(count: int) -> bool:
        part = Problem(problem.domains, problem.constraints[:count], problem.injective)
        return count_solutions(part, cap=2) == 1

    return bisect_left(range(len(problem.constraints)), True, key=unique)


def _extra(
    problem: Problem,
    moduli: Sequence[int | None],
    pairs: Sequence[Pair],
    others: Sequence[dict[str, Value]],
) -> tuple[tuple[str, ...], bool]:
    """Choose further sums that rule the other solutions out, of unseen pairs first."""
    candidates: list[tuple[str, Sequence[Constraint]]] = []
    unseen = sorted(set(product(DIGITS, DIGITS)) - set(pairs))
    for modulus in moduli:
        candidates += [(c.label, [c]) for c in digit_sums(modulus, unseen).constraints]
    for modulus in (*range(2, 11), None):
        if modulus not in moduli:
            words = "plain sums" if modulus is None else f"sums modulo {modulus}"
            candidates.append(
                (f"{words} of the same pairs", digit_sums(modulus, pairs).constraints)
            )
    agrees = np.array(
        [
            [all(c.allows(*(s[n] for n in c.scope)) for c in constraints) for s in others]
            for _, constraints in candidates
        ],
        bool,
    ).reshape(len(candidates), len(others))
    chosen = [candidates[index] for index in cover(agrees)]
    added = [constraint for _, constraints in chosen for constraint in constraints]
    enlarged = Problem(problem.domains, [*problem.constraints, *added], problem.injective)
    return tuple(label for label, _ in chosen), not backbone(enlarged).free
