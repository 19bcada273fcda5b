"""A plan on the terminal: verdict, ranked table, headroom, crossover, assumptions, commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.figures import seconds
from simulator.report.plan_evidence import evidence, unpriced
from simulator.report.plan_names import model_titles, rate, share, traffic
from simulator.report.plan_table import class_table, print_ranked
from simulator.report.plan_verdict import verdict
from simulator.report.tables import say, show
from simulator.slo import SloConfig
from simulator.study.plan.exports.command import Export
from simulator.study.plan.exports.served import reproduces
from simulator.study.plan.objectives import ONE_CLASS
from simulator.study.plan.result import Plan


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
        print_ranked(plan, console)
        _below(plan, console)
    if plan.best is not None:
        show(console, "What each class of requests sees on the first", class_table(plan, plan.best))
    say(console, *evidence(plan))
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
    whose = "" if name == ONE_CLASS else f"{name}: "
    if not slo.bounds:
        return f"{whose}none"
    bounds = ", ".join(
        f"{key.removesuffix('_s').upper()} {seconds(bound)}" for key, bound in slo.bounds.items()
    )
    return f"{whose}{bounds} for {share(slo.share)} of the requests"


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
        "nearest its bound. A dash stands for what is not known, or was not looked at.",
    )


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(Text(title, style="bold"))
    for line in lines:
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_row("-", Text(line))
        console.print(table)
    console.print()


def _commands(plan: Plan, served: Mapping[str, Export], console: Console) -> None:
    """Print what people copy, never wrapped: how to start the first, how to simulate each."""
    simulated = plan.question.config.hardware.engine
    export = served.get(simulated, served.get("vllm"))
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
