"""Acceptance of drafted tokens from a server's counters, with intervals.

With D drafts and a_i of them accepted at position i (from 1; a_0 = D), the conditional rate is
``alpha_i = a_i / a_(i-1)``: a binomial share, with its exact (Clopper-Pearson) interval. The tokens
of a round are ``1 + L``, and P(L >= i) = a_i / D gives mean and variance of L::

    E[L] = sum_i a_i / D,    E[L^2] = sum_i (2 i - 1) a_i / D

The intervals take rounds as independent. Rounds of one request are not, so the intervals are too
narrow; a server does not count what it would take to widen them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.stats import beta, norm

from simulator.errors import ConfigError, DataError, unknown
from simulator.study.calibration.metrics_page import Counters, Server, read_page

CONFIDENCE = 0.95
FEW_DRAFTS = 100
"""Drafts below which rates are warned of: half-widths of 0.1 and more."""

_ROUNDING = 1e-3
"""Share by which sums of counters may differ: a page is not written at one instant."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What one server, or several of a model, accepted.

    Parameters
    ----------
    model, engine
        Labels of the page; the engine is empty where several are pooled.
    drafts, draft_tokens, accepted_tokens
        Counts.
    by_position
        Accepted tokens by position.
    """

    model: str
    engine: str
    drafts: float
    draft_tokens: float
    accepted_tokens: float
    by_position: tuple[float, ...]

    @property
    def gamma(self) -> int:
        """Longest draft."""
        return len(self.by_position)

    @property
    def alphas(self) -> tuple[Estimate, ...]:
        """Conditional rate by position, as far as any draft came."""
        trials = (self.drafts, *self.by_position)
        pairs = zip(self.by_position, trials, strict=False)
        return tuple(share(accepted, tried) for accepted, tried in pairs if tried > 0)

    @property
    def length(self) -> Estimate:
        """Mean acceptance length: tokens of a round, the target's own included."""
        survival = np.array(self.by_position) / self.drafts
        mean = float(survival.sum())
        places = np.arange(1, self.gamma + 1)
        variance = max(0.0, float(((2 * places - 1) * survival).sum()) - mean**2)
        half = float(norm.ppf(0.5 + CONFIDENCE / 2)) * sqrt(variance / self.drafts)
        low, high = max(0.0, mean - half), min(float(self.gamma), mean + half)
        return Estimate(1 + mean, 1 + low, 1 + high)

    @property
    def short_share(self) -> float:
        """Share of the longest draft that drafts fell short of, on average."""
        return max(0.0, 1.0 - self.draft_tokens / (self.drafts * self.gamma))


def share(successes: float, trials: float) -> Estimate:
    """Return a binomial share with its exact interval (Clopper and Pearson, 1934).

    Examples
    --------
    >>> found = share(8, 10)
    >>> round(found.low, 4), found.value, round(found.high, 4)
    (0.4439, 0.8, 0.9748)
    """
    tail = (1 - CONFIDENCE) / 2
    successes = min(successes, trials)  # counters of one page may be an instant apart
    failures = trials - successes
    low = float(beta.ppf(tail, successes, failures + 1)) if successes else 0.0
    high = float(beta.ppf(1 - tail, successes + 1, failures)) if failures else 1.0
    return Estimate(successes / trials, low, high)


def read_acceptance(
    metrics: Path | str, before: Path | str | None = None, model: str | None = None
) -> list[Acceptance]:
    """Read what every server on a page accepted, since an earlier page if one is given.

    Parameters
    ----------
    metrics, before
        The page, and one saved earlier from the same servers: the counts in between are taken.
    model
        Only the servers of this model.

    Returns
    -------
    list of Acceptance
        One per server, in order of the page.

    Raises
    ------
    DataError
        If a page is none, or its counts contradict each other.
    ConfigError
        If the page has no such model.
    """
    page = read_page(metrics)
    models = list(dict.fromkeys(server.model for server in page))
    if model is not None and model not in models:
        raise ConfigError(unknown("model", model, models, str(metrics)))
    start = read_page(before) if before is not None else {}
    return [
        _difference(server, counters, start.get(server), metrics, before)
        for server, counters in page.items()
        if model in (None, server.model)
    ]


def _difference(
    server: Server,
    end: Counters,
    start: Counters | None,
    metrics: Path | str,
    before: Path | str | None,
) -> Acceptance:
    """Count what happened between two pages, and check it."""
    zero = start or Counters()
    whom = f"model {server.model!r}, engine {server.engine!r}"
    counts = {name: end.scalars[name] - zero.scalars.get(name, 0.0) for name in end.scalars}
    accepted = {i: end.by_position[i] - zero.by_position.get(i, 0.0) for i in end.by_position}
    named = counts | {f"position {i}": count for i, count in accepted.items()}
    for name, count in named.items():
        if count < 0:
            raise DataError(
                f"{metrics}, line {end.lines[name]}: {name} of {whom} is less than in {before}, "
                f"line {zero.lines[name]}. The pages are swapped, or the server started anew "
                "between them: take both from one run of it."
            )
    if not counts["num_drafts"]:
        since = f" since {before}" if before else ""
        raise DataError(f"{metrics}: {whom} drafted nothing{since}. Serve some requests first.")
    found = Acceptance(
        model=server.model,
        engine=server.engine,
        drafts=counts["num_drafts"],
        draft_tokens=counts["num_draft_tokens"],
        accepted_tokens=counts["num_accepted_tokens"],
        by_position=tuple(accepted[i] for i in sorted(accepted)),
    )
    _check_counts(found, end, f"{metrics}, line")
    return found


def _check_counts(found: Acceptance, end: Counters, place: str) -> None:
    """Refuse counts that contradict each other."""
    slack = 1 + _ROUNDING
    if found.accepted_tokens > found.draft_tokens * slack:
        raise DataError(
            f"{place} {end.lines['num_accepted_tokens']}: {found.accepted_tokens:g} tokens "
            f"accepted of {found.draft_tokens:g} drafted: the page is not of one server and moment."
        )
    trials = (found.drafts, *found.by_position)
    for position, (accepted, tried) in enumerate(zip(found.by_position, trials, strict=False)):
        if accepted > tried * slack:
            what = f"at position {position - 1}" if position else "drafts were made"
            raise DataError(
                f"{place} {end.lines[f'position {position}']}: {accepted:g} tokens accepted at "
                f"position {position}, but {tried:g} {what}; a token counts only if all before it "
                "were accepted."
            )
    total = sum(found.by_position)
    if abs(total - found.accepted_tokens) > _ROUNDING * max(total, found.accepted_tokens, 1.0):
        raise DataError(
            f"{place} {end.lines['num_accepted_tokens']}: {found.accepted_tokens:g} tokens "
            f"accepted in all, but {total:g} summed over positions."
        )


def by_model(found: Sequence[Acceptance]) -> dict[str, Acceptance]:
    """Pool the engines of each model, whose traffic a router deals out alike."""
    groups: dict[str, list[Acceptance]] = {}
    for one in found:
        groups.setdefault(one.model, []).append(one)
    return {model: _pooled(several) for model, several in groups.items()}


def _pooled(several: Sequence[Acceptance]) -> Acceptance:
    if len(several) == 1:
        return several[0]
    gamma = max(one.gamma for one in several)
    padded = [[*one.by_position, *[0.0] * (gamma - one.gamma)] for one in several]
    return Acceptance(
        model=several[0].model,
        engine="",
        drafts=sum(one.drafts for one in several),
        draft_tokens=sum(one.draft_tokens for one in several),
        accepted_tokens=sum(one.accepted_tokens for one in several),
        by_position=tuple(map(sum, zip(*padded, strict=True))),
    )


def metrics_of(models: Mapping[str, Acceptance]) -> dict[str, float]:
    """Return figures by flat name for ``summary.json``; with several models, of each."""
    found: dict[str, float] = {}
    for model, one in models.items():
        suffix = f"_{model}" if len(models) > 1 else ""
        figures = {"drafts": one.drafts, "gamma": float(one.gamma)}
        figures |= _flat("acceptance_length", one.length)
        for position, alpha in enumerate(one.alphas, start=1):
            figures |= _flat(f"alpha_{position}", alpha)
        found |= {f"{name}{suffix}": value for name, value in figures.items()}
    return found


def _flat(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
