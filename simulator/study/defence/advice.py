"""What to do about attackers, in a sentence or two."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.models import NONE
from simulator.study.defence.question import Case
from simulator.study.defence.variants import ASKED
from simulator.trace.statistics import Interval, value_of

GOODPUT_KEPT = 0.99
"""Share of the goodput in peace that a defence must leave to ordinary users."""

_SUCCESS, _LOAD = "successes_per_h", "attack_gpu_s_per_h"


def advice(frontier: Frontier, accuracy_loss: float) -> str:
    """Say which case to take.

    Of the cases in which clean accuracy falls by no more than ``accuracy_loss``, and in which
    ordinary users keep `GOODPUT_KEPT` of their goodput in peace, the one with the fewest attacks
    that succeed in an hour; of those that chance does not tell from it, the one with the least
    load. Per hour, since a limit changes how long attacks take rather than how they end. Cases
    whose sessions do not end within the run are not judged.
    """
    bare = frontier.bare
    if not value_of(bare.mean("sessions")):
        return "No attack began: raise horizon_s, or lower gap_s."
    fit = [found for found in frontier.measured if _fits(found, frontier, accuracy_loss)]
    judged = [found for found in fit if found.mean(_SUCCESS)]
    if fit and not judged:
        return _unjudged(frontier, fit)
    if fit and not bare.mean(_SUCCESS):  # nothing to compare with
        return _unjudged(frontier, [bare])
    if not fit:
        return (
            f"No case keeps clean accuracy within {100 * accuracy_loss:.1f} points and "
            f"{100 * GOODPUT_KEPT:.0f} % of the goodput of ordinary users: try smaller limits, "
            "less noise, defences=rnd_gf, or more servers."
        )
    better = [found for found in judged if _below(found.change(_SUCCESS, bare))]
    if not better and bare in fit:
        return (
            f"Leave it as it is: no noise or limit lowers the {_per_h(bare)} attacks that "
            "succeed in an hour at the price allowed."
        )
    best = _least(better or judged)
    words = [_told(best, frontier), *_reservations(best, judged, frontier, accuracy_loss)]
    if unjudged := [found for found in fit if found not in judged]:
        words.append(_unjudged(frontier, unjudged))
    return " ".join(words)


def named(case: Case) -> str:
    """Return what a case is called.

    Examples
    --------
    >>> named(Case("rnd", 0.1, 5.0)), named(Case("none", 0.0, math.inf, 300))
    ('rnd nu=0.1 with 5 queries/s per tenant', 'no noise with 300 queries in all per tenant')
    """
    noise = "no noise" if case.defence == NONE else f"{case.defence} nu={case.nu:g}"
    if not case.limited:
        return f"{noise} without a limit"
    rate = "" if math.isinf(case.rate_limit_per_s) else f"{case.rate_limit_per_s:g} queries/s"
    quota = "" if case.quota is None else f"{case.quota} queries in all"
    return f"{noise} with {' and '.join(filter(None, (rate, quota)))} per tenant"


def _unjudged(frontier: Frontier, found: Sequence[Measured]) -> str:
    horizon_s = frontier.question.tenants.horizon_s
    names = ", ".join(named(one.case) for one in found)
    return f"Too few sessions end within horizon_s={horizon_s:g} to judge {names}: raise it."


def _fits(found: Measured, frontier: Frontier, accuracy_loss: float) -> bool:
    kept = GOODPUT_KEPT * _mean(frontier.peace, "benign_goodput_per_s")
    return (
        found.case.attacked
        and found.accuracy >= frontier.bare.accuracy - accuracy_loss
        and _mean(found, "benign_goodput_per_s") >= kept
    )


def _least(found: Sequence[Measured]) -> Measured:
    """Return the case with the least success; of those that may be equal, with the least load."""
    least = min(found, key=lambda one: _mean(one, _SUCCESS))
    equal = [one for one in found if one is least or not _below(least.change(_SUCCESS, one))]
    return min(equal, key=lambda one: _mean(one, _LOAD))


def _below(change: Interval | None) -> bool:
    """Say whether a change is one for the less that chance does not explain."""
    if change is None:
        return False
    return (change.value if change.high is None else change.high) < 0.0


def _told(best: Measured, frontier: Frontier) -> str:
    bare, peace = frontier.bare, frontier.peace
    share = ""
    if (after := best.mean("majority")) and (before := bare.mean("majority")):
        share = f" ({100 * before.value:.0f} and {100 * after.value:.0f} % of sessions)"
    p95 = ""
    if all(one.mean("benign_p95_s") for one in (bare, best, peace)):  # else there are few users
        p95 = (
            f"p95 of ordinary queries from {_ms(bare)} to {_ms(best)} ms "
            f"({_ms(peace)} without attackers), "
        )
    return (
        f"Take {named(best.case)}: attacks that succeed go from {_per_h(bare)} to {_per_h(best)} "
        f"an hour{share}, their load from {_mean(bare, _LOAD):,.0f} to {_mean(best, _LOAD):,.0f} "
        f"GPU-seconds an hour, {p95}and clean accuracy from {100 * bare.accuracy:.1f} to "
        f"{100 * best.accuracy:.1f} %."
    )


def _reservations(
    best: Measured, fit: Sequence[Measured], frontier: Frontier, accuracy_loss: float
) -> list[str]:
    """Return what speaks against noise: that it adds nothing, or how attackers get around it."""
    case = best.case
    if case.defence == NONE:
        noisy = [one for one in frontier.measured if one.case.nu and _like(one.case, case)]
        if not noisy:
            return []
        if any(one in fit for one in noisy):
            return ["Noise on top lowers them by no more than chance explains."]
        return [
            f"Noise on top would cost more than {100 * accuracy_loss:.1f} points of accuracy, or "
            "goodput of ordinary users."
        ]
    tried = frontier.tried_on(case.defence, case.nu)
    around = [one for one in tried if one.variant.startswith("mu=")]
    if not around:
        return []
    asked = next(one for one in tried if one.variant == ASKED)
    worst = max(around, key=lambda one: one.majority)
    return [
        f"But an attacker who takes {worst.variant} succeeds in "
        f"{100 * worst.share('majority').value:.0f} % of sessions behind that noise, not in "
        f"{100 * asked.share('majority').value:.0f} %."
    ]


def _like(one: Case, other: Case) -> bool:
    return (one.rate_limit_per_s, one.quota) == (other.rate_limit_per_s, other.quota)


def _mean(found: Measured, figure: str) -> float:
    interval = found.mean(figure)
    return math.nan if interval is None else interval.value


def _ms(found: Measured) -> str:
    return f"{1e3 * _mean(found, 'benign_p95_s'):.0f}"


def _per_h(found: Measured) -> str:
    return f"{_mean(found, _SUCCESS):,.0f}"
