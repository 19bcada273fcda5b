"""A study of defences on the terminal: what attacks reach, what users see, in words."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from simulator.report.figures import ABSENT, fine_percent, number, percent, plus_minus, seconds
from simulator.report.tables import frame, say, show
from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.measure import JUDGE_REPLIES
from simulator.study.defence.models import NONE
from simulator.study.defence.variants import Tried
from simulator.trace.statistics import Interval


def print_defence(frontier: Frontier, sentence: str, console: Console) -> None:
    """Print tables of attacks and of ordinary users, variants, flips, and the advice."""
    attack = frontier.question.tenants.attack
    show(console, f"Attacks ({attack.kind}, stop={attack.stop})", _attacks(frontier))
    show(console, "Ordinary users", _users(frontier))
    show(console, "Load over that of no defence, latencies over peace, paired", _ratios(frontier))
    if frontier.tried:
        title = "What attackers can change: believed / by majority, queries per session"
        show(console, title, _variants(frontier))
    if frontier.flips:
        show(console, "Comparisons that noise reverses, plain model", _flips(frontier))
    say(console, *_words(frontier))
    say(console, f"Advice: {sentence}")


def _attacks(frontier: Frontier) -> Table:
    table = frame(
        "case",
        "cut>",
        "queries>",
        "first>",
        "believed>",
        "majority>",
        "won/h>",
        "load>",
        tight=True,
    )
    for found in frontier.measured:
        if found.case.attacked:
            table.add_row(
                _case(found),
                percent(_mean(found, "unfinished")),
                number(_mean(found, "queries_per_session")),
                *(percent(_mean(found, name)) for name in ("first_hit", "believed", "majority")),
                plus_minus(found.mean("successes_per_h"), ",.0f"),
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
    table = frame("case", "attack load>", "users' p95>", "LLM TPOT p50>", tight=True)
    for found in frontier.measured:
        if found.case.attacked:
            table.add_row(
                _case(found),
                _ratio(found.ratio("attack_gpu_s_per_h", frontier.bare)),
                _ratio(found.ratio("benign_p95_s", frontier.peace)),
                _ratio(found.ratio("llm_tpot_p50_s", frontier.peace)),
            )
    return table


def _variants(frontier: Frontier) -> Table:
    names = list(dict.fromkeys(one.variant for one in frontier.tried))
    headings = [f"{name}>" for name in names]
    table = frame("noise", *headings, tight=True, unbroken=1 + len(names))
    for defence, nu in frontier.question.noises:
        table.add_row(_noise(defence, nu), *map(_tried, frontier.tried_on(defence, nu)))
    return table


def _tried(one: Tried) -> str:
    believed, majority = (100 * one.share(name).value for name in ("believed", "majority"))
    return f"{believed:.0f}/{majority:.0f} % {one.queries_per_session:6,.0f}"


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
    floor = max(frontier.measured, key=lambda one: one.misled)
    texts = [
        "cut: sessions that the end of the run cut off, which tell how far they came, not how they "
        "would have ended (- where too many are; raise horizon_s). queries: of a session. first: a "
        "candidate was misclassified once. believed: the attacker's rule to stop said so. "
        f"majority: most of {JUDGE_REPLIES} fresh replies to the last candidate are wrong. won/h: "
        "sessions that end so, an hour, all attackers together. load: GPU-seconds an hour.",
        "Limits are a tenant's: an attacker with several accounts has several. Intervals are of "
        "95 %, over replications, which share the trained models. "
        f"Assumed: {1e3 * endpoint.batch_s:g} ms a batch and {1e3 * endpoint.query_s:g} ms a "
        f"query, {where}.",
    ]
    if floor.misled:
        texts.append(
            f"Without any attack {fine_percent(floor.misled)} of the pictures that are attacked "
            f"are wrong by majority behind {_noise(floor.case.defence, floor.case.nu)}."
        )
    if frontier.tried:
        texts.append(
            f"Variants: {frontier.tried[0].sessions} sessions each, to their end, without queue or "
            "limit; shares are uncertain by up to "
            f"{100 * max(map(_half_width, frontier.tried)):.0f} points."
        )
    return texts


def _half_width(tried: Tried) -> float:
    found = tried.share("majority")
    return max(abs(end - found.value) for end in (found.low, found.high) if end is not None)


def _case(found: Measured) -> str:
    case = found.case
    if not case.attacked:
        return "in peace"
    rate = [] if math.isinf(case.rate_limit_per_s) else [f"{case.rate_limit_per_s:g}/s"]
    quota = [] if case.quota is None else [f"{case.quota}"]
    return ", ".join([_noise(case.defence, case.nu), *rate, *quota])


def _noise(defence: str, nu: float) -> str:
    return defence if defence == NONE else f"{defence} {nu:g}"


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
