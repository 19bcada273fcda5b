"""What the estimator takes for granted, checked: on a known process, and on moments.

Of the process (assumptions 4.1, 4.2 and 6.1 of the paper): no more states than observations, O of
full rank, every T_a invertible, and, for bounds on regret, no transition impossible.

Of the data: every action was visited, and the moments ``K_31`` of what comes before and after it
have rank S. With N triples an entry errs by ``sqrt(p_ij / N)``. If the rank were below S, singular
values from the S-th on would be noise, of root mean square sum ``sqrt(sum_ij |U_i|^2 |V_j|^2 p_ij /
N)`` with U and V the singular vectors from the S-th on. They are compared with that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.pomdp import Array, Pomdp

_ZERO = 1e-10
"""Singular values of a known matrix below this share of the largest are rounding."""

REFUSED, TRUSTED = 2.0, 4.0
"""Up to so many times their sampling noise the last singular values show nothing; from so many
times on they are trusted."""


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """How a known process stands to the assumptions.

    Parameters
    ----------
    states, symbols
        S and O.
    observation_rank, transition_ranks
        Rank of O, and of T_a by action.
    observation_sigma, transition_sigmas
        Their S-th singular values; 0 where O has fewer columns than S.
    smallest_observation, smallest_transition
        Smallest entry of O, and of all T_a.
    """

    states: int
    symbols: int
    observation_rank: int
    transition_ranks: tuple[int, ...]
    observation_sigma: float
    transition_sigmas: tuple[float, ...]
    smallest_observation: float
    smallest_transition: float

    @property
    def broken(self) -> tuple[str, ...]:
        """Sentences about what makes learning impossible; empty if nothing does."""
        found = []
        if self.states > self.symbols:
            found.append(_more_states(self.states, self.symbols))
        elif self.observation_rank < self.states:
            found.append(
                f"the observation matrix has rank {self.observation_rank} of {self.states}: some "
                "states cannot be told apart by what they show. Use finer buckets, or fewer states."
            )
        found += [
            f"the transition matrix of action {action} has rank {rank} of {self.states}: some "
            "states lead to the same future under it. Merge these states, or drop the action."
            for action, rank in enumerate(self.transition_ranks)
            if rank < self.states
        ]
        return tuple(found)


def process_report(pomdp: Pomdp) -> ProcessReport:
    """Hold a known process against the assumptions."""
    ranks = [_rank(matrix) for matrix in pomdp.transitions]
    sigmas = [float(_singular(matrix)[-1]) for matrix in pomdp.transitions]
    shown = _singular(pomdp.observations)
    return ProcessReport(
        states=pomdp.states,
        symbols=pomdp.symbols,
        observation_rank=_rank(pomdp.observations),
        transition_ranks=tuple(ranks),
        observation_sigma=float(shown[pomdp.states - 1]) if pomdp.states <= pomdp.symbols else 0.0,
        transition_sigmas=tuple(sigmas),
        smallest_observation=float(pomdp.observations.min()),
        smallest_transition=float(pomdp.transitions.min()),
    )


def require_learnable(pomdp: Pomdp) -> ProcessReport:
    """Return the report on a known process.

    Raises
    ------
    NotLearnableError
        If an assumption is broken; the message says which.
    """
    report = process_report(pomdp)
    if report.broken:
        raise NotLearnableError("this process cannot be learned: " + " ".join(report.broken))
    return report


@dataclass(frozen=True, slots=True)
class MomentReport:
    """How moments stand to the assumptions.

    Parameters
    ----------
    states
        S asked for.
    visits
        Triples by action.
    sigmas
        ``sigma_S(K_31)`` by action; 0 where an action was not visited.
    ratios
        Root of the summed squares of ``sigma_S, sigma_{S+1}, ...`` over that expected of noise
        alone, by action; 0 where an action was not visited, infinite for exact moments.
    """

    states: int
    visits: tuple[float, ...]
    sigmas: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def trusted(self) -> tuple[bool, ...]:
        """Whether the rank of each action's moments stands out clearly from sampling noise."""
        return tuple(ratio >= TRUSTED for ratio in self.ratios)


def moment_report(moments: TripleMoments, states: int) -> MomentReport:
    """Hold moments against the assumptions.

    Raises
    ------
    NotLearnableError
        If there are more states than observations.
    """
    if states > moments.symbols:
        raise NotLearnableError(_more_states(states, moments.symbols))
    found = [_rank_evidence(moments, action, states) for action in range(moments.actions)]
    return MomentReport(
        states=states,
        visits=tuple(moments.visits.tolist()),
        sigmas=tuple(sigma for sigma, _ in found),
        ratios=tuple(ratio for _, ratio in found),
    )


def _rank_evidence(moments: TripleMoments, action: int, states: int) -> tuple[float, float]:
    """Return ``sigma_S(K_31)`` of an action, and how it stands to noise."""
    visits = moments.visits[action]
    if not visits:
        return 0.0, 0.0
    joint = moments.joint(action).sum(axis=1)
    left, sizes, right = np.linalg.svd(joint)
    spread = (
        (left[:, states - 1 :] ** 2).sum(axis=1) @ joint @ (right[states - 1 :] ** 2).sum(axis=0)
    )
    rest = float(np.sqrt(np.sum(sizes[states - 1 :] ** 2)))
    noise = max(float(np.sqrt(spread / visits)), _ZERO * float(sizes[0]) / REFUSED)
    return float(sizes[states - 1]), rest / noise


def require_usable(moments: TripleMoments, states: int) -> MomentReport:
    """Return the report on moments.

    Raises
    ------
    NotLearnableError
        If there are more states than observations, an action was not visited, or a singular value
        that should not be 0 is no larger than sampling noise.
    """
    report = moment_report(moments, states)
    missing = [action for action, visits in enumerate(report.visits) if not visits]
    if missing:
        raise NotLearnableError(
            f"nothing is known of actions {missing}: they were never taken between two observed "
            "intervals. Explore longer, or leave them out."
        )
    for action, ratio in enumerate(report.ratios):
        if ratio <= REFUSED:
            raise NotLearnableError(_lacks_rank(report, action))
    return report


def _lacks_rank(report: MomentReport, action: int) -> str:
    visits = report.visits[action]
    seen = f"{visits:,.0f} triples" if np.isfinite(visits) else "exact moments"
    return (
        f"{seen} around action {action} do not show {report.states} states: singular value "
        f"{report.states} of what comes before against what comes after is "
        f"{report.sigmas[action]:.3g}, {report.ratios[action]:.2g} times what noise alone would "
        f"give (needed: {REFUSED:g}). Either O or T of this action lacks rank (states look alike, "
        "or lead to the same future), or the data are too few: ask for fewer states, or explore "
        "longer."
    )


def _more_states(states: int, symbols: int) -> str:
    return (
        f"{states} states cannot be told apart by {symbols} observations: the method needs at "
        "least as many observations as states. Use more buckets, or fewer states."
    )


def _singular(matrix: Array) -> Array:
    return np.asarray(np.linalg.svd(matrix, compute_uv=False))


def _rank(matrix: Array) -> int:
    sizes = _singular(matrix)
    return int(np.sum(sizes > _ZERO * sizes[0]))
