"""One sentence of advice."""

from __future__ import annotations

import math

from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.models import NONE
from simulator.study.defence.question import Case

GOODPUT_KEPT = 0.99
"""Share of the goodput in peace that a defence must leave to ordinary users."""


def advice(frontier: Frontier, accuracy_loss: float) -> str:
    """Say which case to take.

    Of the cases in which clean accuracy falls by no more than ``accuracy_loss``, and in which
    ordinary users keep `GOODPUT_KEPT` of their goodput in peace, the one with the least success by
    majority; of equals, the one with the least load.
    """
    bare, peace = frontier.bare, frontier.peace
    kept = GOODPUT_KEPT * _mean(peace, "benign_goodput_per_s")
    fit = [
        found
        for found in frontier.measured
        if found.case.attacked
        and found.accuracy >= bare.accuracy - accuracy_loss
        and _mean(found, "benign_goodput_per_s") >= kept
    ]
    if not fit:
        return (
            f"No case keeps clean accuracy within {100 * accuracy_loss:.1f} points and "
            f"{100 * GOODPUT_KEPT:.0f} % of the goodput of ordinary users: try smaller limits, "
            "less noise, defences=rnd_gf, or more servers."
        )
    best = min(fit, key=lambda one: (_mean(one, "majority"), _mean(one, "attack_gpu_s_per_h")))
    if best is bare:
        return (
            f"Leave it as it is: no noise or limit lowers success by majority "
            f"({_percent(bare, 'majority')} of sessions) at the price allowed."
        )
    return (
        f"Take {named(best.case)}: attacks that succeed by majority go from "
        f"{_percent(bare, 'majority')} to {_percent(best, 'majority')} of sessions and their "
        f"load from {_mean(bare, 'attack_gpu_s_per_h'):,.0f} to "
        f"{_mean(best, 'attack_gpu_s_per_h'):,.0f} GPU-seconds an hour, p95 of ordinary queries "
        f"from {_ms(bare)} to {_ms(best)} ms ({_ms(peace)} without attackers), and clean accuracy "
        f"from {100 * bare.accuracy:.1f} to {100 * best.accuracy:.1f} %."
    )


def named(case: Case) -> str:
    """Return what a case is called.

    Examples
    --------
    >>> named(Case("rnd", 0.1, 5.0)), named(Case("none", 0.0, math.inf))
    ('rnd nu=0.1 with 5 queries/s per tenant', 'no noise without a limit')
    """
    noise = "no noise" if case.defence == NONE else f"{case.defence} nu={case.nu:g}"
    if math.isinf(case.rate_limit_per_s):
        return f"{noise} without a limit"
    return f"{noise} with {case.rate_limit_per_s:g} queries/s per tenant"


def _mean(found: Measured, figure: str) -> float:
    interval = found.mean(figure)
    return math.nan if interval is None else interval.value


def _ms(found: Measured) -> str:
    return f"{1e3 * _mean(found, 'benign_p95_s'):.0f}"


def _percent(found: Measured, figure: str) -> str:
    return f"{100 * _mean(found, figure):.0f} %"
