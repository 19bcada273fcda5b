"""How many solutions a problem has, and on which unknowns they all agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from simulator.errors import ConfigError
from simulator.study.identify.problem import Assignment, Problem, Value
from simulator.study.identify.search import Search

CAP = 100_000
"""Solutions that are counted at most."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """Unknowns on which all solutions agree, found without listing the solutions.

    Parameters
    ----------
    pinned
        Their values.
    free
        Unknowns on which solutions differ.
    solves
        Searches for one solution that it took: at most one per unknown and one more per component.
    """

    pinned: Mapping[str, Value]
    free: tuple[str, ...]
    solves: int

    @property
    def disagreement(self) -> int:
        """The paper's d: number of unknowns on which solutions differ."""
        return len(self.free)


def count_solutions(problem: Problem, cap: int = CAP) -> int:
    """Count solutions, component by component, up to a cap.

    Returns
    -------
    int
        The exact number below ``cap``; ``cap`` means that many or more.
    """
    total = 1
    for part in problem.components():
        total *= sum(1 for _ in islice(Search(part).solutions(), cap))
    return min(total, cap)


def all_solutions(problem: Problem) -> Iterator[Assignment]:
    """Yield every solution of the whole problem once."""
    return Search(problem).solutions()


def backbone(problem: Problem) -> Backbone:
    """Find the unknowns on which all solutions agree.

    An unknown is pinned if no solution gives it another value than the first solution does. Every
    solution found on the way frees all unknowns in which it differs, so most need no search.

    Raises
    ------
    ConfigError
        If there is no solution: the measurements contradict each other.
    """
    pinned: Assignment = {}
    free: list[str] = []
    solves = 0
    for part in problem.components():
        search = Search(part)
        first = next(search.solutions(), None)
        solves += 1
        if first is None:
            raise ConfigError(
                "no values of the unknowns agree with all measurements of "
                f"{', '.join(part.domains)}: widen the tolerance or the domains."
            )
        seen: dict[str, set[Value]] = {name: {value} for name, value in first.items()}
        for name, value in first.items():
            if len(seen[name]) == 1:
                other = next(search.solutions(barred={name: value}), None)
                solves += 1
                for key, found in (other or {}).items():
                    seen[key].add(found)
        pinned |= {name: first[name] for name, values in seen.items() if len(values) == 1}
        free += [name for name, values in seen.items() if len(values) > 1]
    return Backbone(pinned, tuple(free), solves)


def error_bound(
    unknowns: Mapping[str, object] | tuple[str, ...],
    free: tuple[str, ...],
    weights: Mapping[str, float] | None = None,
) -> float:
    """Bound the share of unknowns that a solution gets wrong on average (Thm. 3.7).

    Parameters
    ----------
    unknowns
        All of them.
    free
        Those on which solutions differ.
    weights
        How often each unknown is met, >= 0, in any one unit; equally often by default, which
        gives the paper's d / L.

    Returns
    -------
    float
        Weight of the free unknowns over the weight of all.

    Examples
    --------
    >>> error_bound(("a", "b"), ("b",)), error_bound(("a", "b"), ("b",), {"a": 9.0, "b": 1.0})
    (0.5, 0.1)
    """
    share = {name: (weights or {}).get(name, 1.0) for name in unknowns}
    return sum(share[name] for name in free) / sum(share.values())


def sample_bound(kappa: float, sequences: int, epsilon: float) -> int:
    """Random samples that suffice to reach an error once the solution is unique (Thm. 3.6).

    Parameters
    ----------
    kappa
        Least chance that one sample is a given one of the possible sequences, in (0, 1].
    sequences
        Number |B| of possible sequences.
    epsilon
        Error allowed, in (0, 1).

    Returns
    -------
    int
        The least N with ``N > log(|B| / epsilon) / kappa``. Valid but loose: it waits until
        every sequence was seen.

    Examples
    --------
    >>> sample_bound(kappa=0.01, sequences=100, epsilon=0.05)
    761
    """
    return math.floor(math.log(sequences / epsilon) / kappa) + 1
