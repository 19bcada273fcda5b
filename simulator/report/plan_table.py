"""The tables of a plan: its offers in their order, and what each class of requests sees."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from simulator.report.figures import ABSENT, number, seconds
from simulator.report.plan_names import share
from simulator.report.plan_tails import nearest
from simulator.report.tables import frame
from simulator.speculation.policies import FIXED
from simulator.study.plan.deployment import NATIVE, Deployment
from simulator.study.plan.result import Offer, Plan
from simulator.trace.latencies import QUANTILES
from simulator.trace.statistics import Interval

WIDTH = 80
"""Characters of a line of the ranked table."""


def print_ranked(plan: Plan, console: Console) -> None:
    """Print the ranked table in `WIDTH` characters; a narrower terminal wraps it, nothing is cut.

    Rich would leave out the last columns.
    """
    before, console.width = console.width, WIDTH
    console.print(_ranked(plan))
    console.width = before


_DEPLOYMENT_WIDTH = 14
"""Characters below which the names of most GPUs do not fit in a line."""


def _ranked(plan: Plan) -> Table:
    """Return the ranked table, three lines a row as in its headings."""
    table = frame(
        ">",
        "deployment",
        "USD/h\nUSD/1M tok\nJ/token>",
        "req/s held\n95 % range\nbound by>",
        "SD gain\n95 % range\ntok/round>",
        "TTFT\np99\n/ bound>",
        "TPOT\np99\n/ bound>",
        tight=True,
    )
    for column in table.columns:
        column.overflow = "fold"
    table.columns[1].min_width = _DEPLOYMENT_WIDTH
    for rank, offer in enumerate(plan.offers, start=1):
        table.add_row(*_row(plan, rank, offer))
        table.add_row()
    return table


def _row(plan: Plan, rank: int, offer: Offer) -> list[str]:
    money = (offer.usd_per_hour, offer.usd_per_million_tokens, offer.joules_per_token)
    held = _with_bounds(offer.max_rate_per_s) if offer.meets else "fails\n"
    gain = _with_bounds(offer.gain.max_rate if offer.gain else None, "x")
    return [
        str(rank),
        _deployment(offer.deployment, several=len(plan.question.candidates.models) > 1),
        "\n".join(map(number, money)),
        f"{held}\n{offer.binding_constraint}",
        f"{gain}\n{number(offer.acceptance_length)}",
        _nearest(plan, offer, "ttft_s"),
        _nearest(plan, offer, "tpot_s"),
    ]


def _deployment(deployment: Deployment, *, several: bool) -> str:
    """Write a deployment, a line each: GPUs, grid, drafts and format, which of several models."""
    grid = f"{deployment.replicas} x {deployment.parallelism}"
    if deployment.split is not None:
        grid += f" ({deployment.split})"
    drafts = f"gamma {deployment.gamma}" if deployment.speculates else "SD off"
    if deployment.policy != FIXED:
        drafts += f" {deployment.policy}"
    formats = "" if deployment.precision == NATIVE else f", {deployment.precision}"
    model = f"\n{deployment.model}" if several else ""
    return f"{deployment.gpus} x {deployment.gpu}\n{grid}\n{drafts}{formats}{model}"


def _with_bounds(found: Interval | None, unit: str = "") -> str:
    """Write an estimate, and its interval or an empty line below."""
    if found is None:
        return f"{ABSENT}\n"
    text = f"{number(found.value)}{unit}"
    if found.low is None or found.high is None:
        return f"{text}\n"
    return f"{text}\n{number(found.low)}-{number(found.high)}"


def _nearest(plan: Plan, offer: Offer, latency: str) -> str:
    """Write the tail of the class that is nearest its bound, and the bound below."""
    objectives = plan.question.objectives
    return nearest(
        [
            (objectives[each.name].bounds.get(latency), getattr(each, latency))
            for each in offer.classes
        ],
        "/",
    )


def class_table(plan: Plan, offer: Offer) -> Table:
    """Return latencies and attainment by class of an offer."""
    columns = [f"{name}\n{label}>" for name in ("TTFT", "TPOT") for label in QUANTILES]
    table = frame("class", "in time>", "must be>", *columns, tight=True)
    for each in offer.classes:
        latencies = [
            seconds(getattr(each, name)[label])
            for name in ("ttft_s", "tpot_s")
            for label in QUANTILES
        ]
        due = share(each.required) if plan.question.objectives[each.name].bounds else ABSENT
        table.add_row(each.name, share(each.attainment.value), due, *latencies)
    return table
