"""A study of defences on the terminal: what attacks reach, what users see, in words."""

from __future__ import annotations

import math
import textwrap

from rich.console import Console
from rich.table import Table

from simulator.report.figures import ABSENT, fine_percent, number, percent, seconds
from simulator.report.tables import frame, say, show
from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.measure import JUDGE_REPLIES
from simulator.study.defence.models import NONE
from simulator.trace.statistics import Interval

WIDTH = 78
"""Characters of a line of words."""


def print_defence(frontier: Frontier, sentence: str, console: Console) -> None:
    """Print tables of attacks and of ordinary users, flips, and the advice."""
    attack = frontier.question.tenants.attack
    show(console, f"Attacks ({attack.kind}, stop={attack.stop})", _attacks(frontier))
    show(console, "Ordinary users", _users(frontier))
    show(console, "Over the same in peace, paired", _ratios(frontier))
    if frontier.flips:
        show(console, "Comparisons that noise reverses, plain model", _flips(frontier))
    say(console, *_words(frontier))
    say(console, *textwrap.wrap(f"Advice: {sentence}", WIDTH))


def _attacks(frontier: Frontier) -> Table:
    table = frame(
        "case",
        "begun>",
        "cut>",
        "first>",
        "believed>",
        "majority>",
        "queries>",
        "GPU-s/h>",
        tight=True,
        unbroken=8,
    )
    for found in frontier.measured:
        if found.case.attacked:
            table.add_row(
                _case(found),
                number(_mean(found, "sessions")),
                *(
                    percent(_mean(found, name))
                    for name in ("unfinished", "first_hit", "believed", "majority")
                ),
                number(_mean(found, "queries_per_session")),
                number(_mean(found, "attack_gpu_s_per_h")),
            )
    return table


def _users(frontier: Frontier) -> Table:
    headings = ("p50>", "p95>", "p99>", "in time/s>", "refused>", "accuracy>")
    table = frame("case", *headings, tight=True, unbroken=7)
    for found in frontier.measured:
        table.add_row(
            _case(found),
            *(seconds(_mean(found, f"benign_{label}_s")) for label in ("p50", "p95", "p99")),
            number(_mean(found, "benign_goodput_per_s")),
            fine_percent(_mean(found, "benign_refused")),
            fine_percent(found.accuracy),
        )
    return table


def _ratios(frontier: Frontier) -> Table:
    table = frame("case", "p95>", "p99>", "LLM TPOT p50>", tight=True, unbroken=4)
    for found in frontier.measured:
        if found.case.attacked:
            names = ("benign_p95_s", "benign_p99_s", "llm_tpot_p50_s")
            table.add_row(
                _case(found), *(_ratio(found.ratio(name, frontier.peace)) for name in names)
            )
    return table


def _flips(frontier: Frontier) -> Table:
    table = frame("nu>", "mu>", "nu/mu>", "law>", "counted>")
    for one in frontier.flips:
        ratio = number(one.nu / one.mu)
        table.add_row(f"{one.nu:g}", f"{one.mu:g}", ratio, f"{one.law:.3f}", f"{one.counted:.3f}")
    return table


def _words(frontier: Frontier) -> list[str]:
    endpoint = frontier.question.tenants.endpoint
    where = "on GPUs of its own"
    if endpoint.share is not None:
        where = f"on the GPU of an LLM replica, {percent(endpoint.share)} of it while both compute"
    text = (
        "begun: attack sessions; cut: by the end of the run or a quota. first: a candidate was "
        "misclassified once. believed: the attacker's rule to stop said so. majority: most of "
        f"{JUDGE_REPLIES} fresh replies to the last candidate are wrong. Ratios have "
        f"95 % intervals over replications. Assumed: {1e3 * endpoint.batch_s:g} ms a batch and "
        f"{1e3 * endpoint.query_s:g} ms a query, {where}."
    )
    return textwrap.wrap(text, WIDTH)


def _case(found: Measured) -> str:
    case = found.case
    if not case.attacked:
        return "in peace"
    noise = case.defence if case.defence == NONE else f"{case.defence} {case.nu:g}"
    return noise if math.isinf(case.rate_limit_per_s) else f"{noise}, {case.rate_limit_per_s:g}/s"


def _ratio(found: Interval | None) -> str:
    if found is None:
        return ABSENT
    if found.low is None or found.high is None:
        return _short(found.value)
    return f"{_short(found.value)} ({_short(found.low)} to {_short(found.high)})"


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10.0 else f"{ratio:.0f}"


def _mean(found: Measured, figure: str) -> float | None:
    interval = found.mean(figure)
    return None if interval is None else interval.value
