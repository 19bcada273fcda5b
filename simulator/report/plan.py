"""A plan on the terminal: verdict, ranked table, headroom, crossover, assumptions, commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.figures import ABSENT, number, seconds
from simulator.report.plan_evidence import binding, counts, crossover, headroom, unpriced
from simulator.report.plan_names import model_titles, rate, share, traffic
from simulator.report.plan_verdict import verdict
from simulator.report.tables import frame, say, show
from simulator.slo import SloConfig
from simulator.speculation.policies import FIXED
from simulator.study.plan.deployment import NATIVE, Deployment
from simulator.study.plan.exports.command import Export
from simulator.study.plan.exports.served import reproduces
from simulator.study.plan.result import ClassOutcome, Offer, Plan
from simulator.trace.latencies import QUANTILES
from simulator.trace.statistics import Interval

WIDTH = 100
"""Characters of a line that the ranked table needs, where no terminal says that there are fewer."""


def print_plan(plan: Plan, served: Mapping[str, Export], console: Console) -> None:
    """Print a plan.

    Parameters
    ----------
    plan
        The plan.
    served
        How the best offer is started, by engine; empty where none meets.
    console
        Where to.
    """
    _head(plan, console)
    for paragraph in verdict(plan):
        say(console, paragraph)
    if plan.offers:
        _print_wide(_ranked(plan), console)
        _below(plan, console)
    if plan.best is not None:
        show(console, "What each class of requests sees on the first", _classes(plan, plan.best))
        say(console, binding(plan.best), *headroom(plan, plan.best), *crossover(plan.crossover))
    say(console, counts(plan))
    _list(console, "Assumptions", plan.assumptions)
    _commands(plan, served, console)


def _head(plan: Plan, console: Console) -> None:
    question = plan.question
    console.print(Text(f"Plan for {model_titles(plan)}", style="bold"))
    promised = [_objective(name, slo) for name, slo in question.objectives.items()]
    lines = {"target load": [f"{rate(question.target_rate)}, {traffic(plan)}"]}
    lines |= {"objectives": promised, "candidates": [", ".join(question.candidates.gpus)]}
    table = Table.grid(padding=(0, 2))
    for label, texts in lines.items():
        table.add_row(f"  {label}", Text("\n".join(texts)))
    console.print(table)
    console.print()


def _objective(name: str, slo: SloConfig) -> str:
    if not slo.bounds:
        return f"{name}: none"
    bounds = ", ".join(
        f"{key.removesuffix('_s').upper()} {seconds(bound)}" for key, bound in slo.bounds.items()
    )
    return f"{name}: {bounds} for {share(slo.share)} of the requests"


def _print_wide(table: Table, console: Console) -> None:
    """Print a table in `WIDTH` characters, or as many as a terminal has."""
    before = console.width
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table, width=min(console.width, WIDTH))
    console.width = before


_DEPLOYMENT_WIDTH = 19
"""Characters that the names of GPUs fit in."""


def _ranked(plan: Plan) -> Table:
    """Return the ranked table, three lines a row."""
    table = frame(
        ">",
        "deployment",
        "USD/h>",
        "USD/\n1M tok>",
        "J/\ntoken>",
        "req/s held,\nbound by>",
        "SD gain>",
        "TTFT\np99>",
        "TPOT\np99>",
        "tokens/\nround>",
        tight=True,
    )
    table.columns[1].min_width = _DEPLOYMENT_WIDTH
    for rank, offer in enumerate(plan.offers, start=1):
        table.add_row(*_row(plan, rank, offer))
        table.add_row()
    return table


def _row(plan: Plan, rank: int, offer: Offer) -> list[str]:
    bound, gain = offer.binding_constraint, offer.gain.max_rate if offer.gain else None
    return [
        str(rank),
        _deployment(offer.deployment),
        number(offer.usd_per_hour),
        number(offer.usd_per_million_tokens),
        number(offer.joules_per_token),
        f"{_with_bounds(offer.max_rate_per_s) if offer.meets else 'fails'}\n{bound}",
        _with_bounds(gain, "x"),
        _nearest(plan, offer, "ttft_s"),
        _nearest(plan, offer, "tpot_s"),
        number(offer.acceptance_length),
    ]


def _deployment(deployment: Deployment) -> str:
    """Write a deployment on three lines: GPUs, grid and format, drafts."""
    grid = f"{deployment.replicas} x {deployment.parallelism}"
    if deployment.split is not None:
        grid += f" ({deployment.split})"
    drafts = f"gamma {deployment.gamma}" if deployment.speculates else "SD off"
    if deployment.policy != FIXED:
        drafts += f" {deployment.policy}"
    formats = "" if deployment.precision == NATIVE else f", {deployment.precision}"
    return f"{deployment.gpus} x {deployment.gpu}\n{grid}\n{drafts}{formats}"


def _with_bounds(found: Interval | None, unit: str = "") -> str:
    """Write an estimate, and its interval below."""
    if found is None:
        return ABSENT
    text = f"{number(found.value)}{unit}"
    if found.low is None or found.high is None:
        return text
    return f"{text}\n{number(found.low)}-{number(found.high)}"


def _nearest(plan: Plan, offer: Offer, latency: str) -> str:
    """Write the tail of the class that is nearest its bound, and the bound below."""
    objectives, outcomes = plan.question.objectives, offer.classes
    bounds = {each.name: objectives[each.name].bounds.get(latency) for each in outcomes}

    def fullness(each: ClassOutcome) -> float:
        bound, (_, value) = bounds[each.name], _tail(each, latency)
        return 0.0 if bound is None or value is None else value / bound

    if not outcomes:
        return ABSENT
    worst = max(outcomes, key=fullness)
    bound = bounds[worst.name]
    label, value = _tail(worst, latency)
    text = seconds(value) if label == "p99" else f"{label} {seconds(value)}"
    return text if bound is None else f"{text}\n/ {seconds(bound)}"


def _tail(each: ClassOutcome, latency: str) -> tuple[str, float | None]:
    """Return the highest percentile that enough requests stand behind, and its name."""
    found: Mapping[str, float | None] = getattr(each, latency)
    known = [(label, found[label]) for label in QUANTILES if found.get(label) is not None]
    return known[-1] if known else ("p99", None)


def _below(plan: Plan, console: Console) -> None:
    """Explain the table: what fails, and what the columns mean."""
    fails = [
        f"{rank} fails: {offer.reason}"
        for rank, offer in enumerate(plan.offers, start=1)
        if not offer.meets
    ]
    say(
        console,
        *fails,
        *unpriced(plan),
        "Costs, energy and latencies are at the target load; tokens are output tokens. req/s held "
        "is the highest rate within the objectives, SD gain its ratio to that of the same GPUs "
        "without speculation, both with 95 % intervals. TTFT and TPOT are those of the class "
        "nearest its bound.",
    )


def _classes(plan: Plan, offer: Offer) -> Table:
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


def _engine(plan: Plan) -> str:
    return plan.question.config.hardware.engine


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(Text(title, style="bold"))
    for line in lines:
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_row("-", Text(line))
        console.print(table)
    console.print()


def _commands(plan: Plan, served: Mapping[str, Export], console: Console) -> None:
    """Print what people copy, never wrapped: how to start the first, how to simulate each."""
    export = served.get("sglang" if _engine(plan) == "sglang" else "vllm")
    if export is not None:
        console.print(Text(f"Start the first under {export.engine}", style="bold"))
        for line in (*(f"# {note}" for note in export.notes), *export.commands):
            console.print(line, soft_wrap=True, markup=False)
        console.print()
    deployments = [offer.deployment for offer in plan.offers]
    miss = plan.nearest_miss
    if not deployments and miss is not None and miss.attainment:  # else there was nothing to run
        deployments = [miss.deployment]
    if not deployments:
        return
    console.print(Text("Simulate each again", style="bold"))
    for rank, deployment in enumerate(deployments, start=1):
        console.print(f"{rank}: {reproduces(plan, deployment)}", soft_wrap=True, markup=False)
    console.print()
