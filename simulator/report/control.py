"""A control study on the terminal: who lost how much, what the estimates rest on, in words."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from simulator.report.figures import number
from simulator.report.policies import print_policies
from simulator.report.tables import frame, say, show
from simulator.study.control.findings import assumption_report, words
from simulator.study.control.simulated import simulated_words
from simulator.study.control.study import ControlStudy
from simulator.study.policies.compare import Comparison

TITLES = {
    "mixed": "mixed spectral UCRL",
    "seeu": "SEEU",
    "sm_ucrl": "SM-UCRL",
    "batch_schedule": "batch-size table",
    "threshold": "threshold on acceptance",
    "cost_model": "cost-model optimum",
}
"""What learners and rules are called."""


def print_control(found: ControlStudy, simulated: Comparison | None, console: Console) -> None:
    """Print who lost how much, what it rests on, and what it means."""
    instance = found.found.instance
    show(console, f"{instance.name}: {instance.title}", _ranking(found))
    show(console, "What the mixed learner's estimates rest on", _estimates(found))
    if simulated is not None:
        print_policies([simulated], console)
        console.print()
    say(console, *words(found), *(simulated_words(simulated) if simulated else []))
    say(console, *(f"- {sentence}" for sentence in found.found.assumptions))


def _ranking(found: ControlStudy) -> Table:
    end, best = found.checkpoints[-1], found.best_fixed
    table = frame("", "score/interval>", f"regret at {end:,}>", "95 % band>", unbroken=1)
    rows = [("oracle", found.gain, 0.0, "")]
    for name, band in found.bands.items():
        lost = float(band.mean[-1])
        low, high = float(band.low[-1]), float(band.high[-1])
        spread = "one seed" if np.isnan(low) else f"{low:,.0f} to {high:,.0f}"
        rows.append((TITLES[name], found.gain - lost / end, lost, spread))
    for rule in found.rules:
        name = TITLES.get(rule.name, rule.name) + (" *" if rule is best else "")
        rows.append((name, rule.gain, found.rule_regret(rule), "exact"))
    for name, score, lost, spread in sorted(rows, key=lambda row: row[2]):
        table.add_row(name, f"{score:.4f}", f"{lost:z,.0f}", spread)
    return table


def _estimates(found: ControlStudy) -> Table:
    report, seeds = assumption_report(found), len(found.evidence)
    table = frame(
        "gamma>",
        "visits>",
        "sigma(K31)>",
        "over noise>",
        "trusted in>",
        "true sigma(T)>",
        "disagreement>",
        tight=True,
    )
    rows = zip(
        found.found.instance.gammas,
        report["visits"],
        report["view_sigmas"],
        report["view_over_noise"],
        report["trusted_seeds"],
        report["transition_sigmas"],
        report["disagreement"],
        strict=True,
    )
    for gamma, visits, sigma, ratio, trusted, true, disagreement in rows:
        table.add_row(
            str(gamma),
            f"{visits:,.0f}",
            number(sigma),
            f"{ratio:.1f}x",
            f"{trusted} of {seeds}",
            number(true),
            number(disagreement),
        )
    last = [row for row in found.estimates if not row.note] or found.estimates
    final = {row.seed: row for row in last}.values()
    errors = [np.mean([getattr(row, key) for row in final]) for key in _ERRORS]
    table.caption = (
        f"|O - O^| {errors[0]:.3f}, largest |T - T^| {errors[1]:.3f}; sigma(O^) "
        f"{np.mean([row.observation_sigma for row in final]):.3f}; smallest transition "
        f"{report['smallest_transition']:.4f}; {report['estimates_replaced']} of "
        f"{report['estimates']} estimates refused, an older one kept; disagreement: what an "
        "action's own moments say that a state shows, against all of them"
    )
    table.caption_justify = "left"
    return table


_ERRORS = ("observation_error", "transition_error")
