"""What a plan can determine, whatever it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from simulator.study.identify.planning import Planning
from simulator.study.identify.rank import Identifiability
from simulator.study.identify.solutions import error_bound

EPSILON = 0.05
"""Error for which the sample bound is given unless a plan says otherwise."""

EPSILON_RANGE = "above 0 and below 1: the error allowed, such as 0.05"


@dataclass(frozen=True, slots=True)
class Twin:
    """A solution beside the true one: the measurements of the plan cannot tell them apart.

    Parameters
    ----------
    changes
        By unknown: its true and its other value, as text.
    words
        What they would be told apart by, and how far apart that is.
    difference_s
        How far apart these are, s per step; None where there are no seconds.
    """

    changes: Mapping[str, tuple[str, str]]
    words: str
    difference_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a plan can determine.

    Parameters
    ----------
    knowledge
        Name of the knowledge base.
    unknowns
        Their names.
    rows
        The measurements of the plan, in order.
    assumed
        What is taken for true, for people.
    solutions
        Number of solutions, the true one included.
    exact
        False if there may be more than were counted.
    pinned
        Unknowns on which all solutions agree, with the values as text.
    weights
        How often each unknown is met; None for equally often.
    samples
        N of Thm. 3.6.
    samples_words
        What is sampled, for people.
    unique_after
        Rows of the plan, in its order, that suffice for a unique solution; None if all do not.
    twins
        Some of the other solutions.
    extra
        The smallest extra measurements found that make the solution unique and the rank full.
    extra_suffices
        Whether they do.
    graph
        Unknowns and measurements, as `Problem.graph`.
    rank
        Number of combinations of the unknowns that are determined if they are continuous; None
        where that makes no sense.
    identifiability
        Null directions as well, where continuous unknowns are the question.
    planning
        How well the plan will predict, where it is to predict.
    course
        Disagreement after each step of the plan; empty where it was not followed.
    """

    knowledge: str
    unknowns: tuple[str, ...]
    rows: tuple[str, ...]
    assumed: str
    solutions: int
    exact: bool
    pinned: Mapping[str, str]
    weights: Mapping[str, float] | None
    samples: int
    samples_words: str
    unique_after: int | None
    twins: tuple[Twin, ...]
    extra: tuple[str, ...]
    extra_suffices: bool
    graph: nx.Graph[str | int]
    rank: int | None = None
    identifiability: Identifiability | None = None
    planning: Planning | None = None
    course: tuple[int, ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """Unknowns on which solutions differ."""
        return tuple(name for name in self.unknowns if name not in self.pinned)

    @property
    def disagreement(self) -> int:
        """The paper's d."""
        return len(self.free)

    @property
    def bound(self) -> float:
        """Bound of the mean error, all unknowns equally often met: d / L (Thm. 3.7)."""
        return error_bound(self.unknowns, self.free)

    @property
    def weighted_bound(self) -> float:
        """The same with the weights."""
        return error_bound(self.unknowns, self.free, self.weights)

    @property
    def determined(self) -> bool:
        """Whether the plan determines all unknowns, discrete and to first order."""
        continuous = self.identifiability is None or self.identifiability.determined
        return not self.free and continuous

    @property
    def sufficient(self) -> bool:
        """Whether the plan may be measured as it is."""
        return self.determined and not (self.planning and self.planning.flagged)


def summary(check: Check) -> dict[str, Any]:
    """Return what a check found, for ``summary.json``: figures under ``"metrics"``."""
    planning, found = check.planning, check.identifiability
    return {
        "metrics": {
            "solutions": check.solutions,
            "solutions_exact": int(check.exact),
            "disagreement": check.disagreement,
            "unknowns": len(check.unknowns),
            "rows": len(check.rows),
            "bound": check.bound,
            "weighted_bound": check.weighted_bound,
            "rank": check.rank,
            "sample_bound": check.samples,
            "unique_after": check.unique_after,
            "extra_rows": len(check.extra),
            "predicted_variance": planning.variance if planning else None,
            "flagged": int(planning.flagged) if planning else None,
            "sufficient": int(check.sufficient),
        },
        "knowledge": check.knowledge,
        "assumed": check.assumed,
        "pinned": dict(check.pinned),
        "free": check.free,
        "twins": [
            {"changes": dict(twin.changes), "words": twin.words, "difference_s": twin.difference_s}
            for twin in check.twins
        ],
        "null_directions": [
            {"words": direction.words, "changes": dict(direction.changes)}
            for direction in (found.null_directions if found else ())
        ],
        "extra": check.extra,
        "extra_suffices": check.extra_suffices,
        "reasons": planning.reasons if planning else (),
        "extra_to_predict": [
            {"row": row.label, "predicted_variance": variance}
            for row, variance in (planning.extra if planning else ())
        ],
        "disagreement_after": check.course,
    }


def cover(agrees: NDArray[np.bool_]) -> list[int]:
    """Choose candidates, greedily the one that rules most twins out, until none is left.

    Parameters
    ----------
    agrees
        Whether a twin agrees with a candidate's reading, shape (candidates, twins).

    Returns
    -------
    list of int
        Candidates in the order chosen; they may leave twins that no candidate rules out.

    Examples
    --------
    >>> cover(np.array([[True, False, True], [False, True, True], [False, False, True]]))
    [2]
    """
    chosen: list[int] = []
    left = np.arange(agrees.shape[1])
    while left.size and agrees.shape[0]:
        remaining = agrees[:, left].sum(axis=1)
        best = int(remaining.argmin())
        if remaining[best] == left.size:
            break
        chosen.append(best)
        left = left[agrees[best, left]]
    return chosen
