"""The page of a plan: what to serve with, what it costs, how sure that is, how to start it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.report.figures import ABSENT, number, seconds
from simulator.report.html.blocks import (
    BAD,
    GOOD,
    Block,
    Command,
    Figure,
    Items,
    Page,
    Section,
    charts,
    section,
    tone_of,
)
from simulator.report.html.folder import PLAN, read_object, require
from simulator.report.html.plan.charts import crossover, pareto, rates
from simulator.report.html.plan.tables import (
    confirmation,
    headroom,
    interval,
    ranked,
    rejected,
    seen,
)
from simulator.report.html.provenance import command_line, provenance_section
from simulator.report.plan_names import rate, share

Json = Mapping[str, Any]

_NEEDED = (
    "verdict",
    "question",
    "deployments",
    "confirmation",
    "pareto",
    "crossover",
    "nearest_miss",
    "rejected",
    "counts",
    "assumptions",
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")

_READING = (
    "The verdict is about the first row of the ranked table: the cheapest deployment that holds "
    "every objective at the target load.",
    "Closed forms and bounds ruled out most candidates; what is left was simulated, with and "
    "without speculative decoding (SD) on the same arrivals, lengths and acceptance draws, until "
    "the answer was clear. Intervals are 95 %.",
    "SD gain compares the highest rates that the same GPUs hold with and without speculation.",
    "Charts can be zoomed by dragging, a double click shows all again, and a click in a legend "
    "hides a series.",
)


def plan_page(folder: Path) -> Page:
    """Return the page of the plan in a folder.

    Raises
    ------
    DataError
        If ``plan.json`` is not whole, or of another version.
    """
    plan = read_object(folder / "plan.json")
    require(plan, _NEEDED, folder / "plan.json")
    question, best = plan["question"], _best(plan)
    answer, *rest = _SENTENCE_END.split(str(plan["verdict"]), maxsplit=1)
    sections = [
        section("reading", "How to read this page", Items(_READING), folded=True),
        section("ranked", "Deployments, ranked", ranked(plan), _fails(plan)),
        section(
            "charts",
            "Trade-offs",
            charts([pareto(plan)]),
            charts([rates(plan), crossover(plan)]),
        ),
        *_of_best(plan, best),
        section("why", "What lies behind it", _items(_evidence(folder))),
        _confirmed(plan),
        _serving(best),
        section("ruled-out", "What was ruled out", rejected(plan)),
        section("assumptions", "Assumptions", _items(plan["assumptions"])),
        _again(plan),
        _provenance(plan),
    ]
    return Page(
        kind=PLAN,
        title=f"Plan for {question['model']} at {rate(question['target_rate_per_s'])}",
        facts=list(_facts(question)),
        verdict=answer,
        tone=GOOD if best is not None else BAD,
        advice=" ".join(rest),
        figures=list(_figures(best)) if best is not None else [],
        sections=[each for each in sections if each is not None],
    )


def _best(plan: Json) -> Json | None:
    """Return the first deployment that meets."""
    return next((offer for offer in plan["deployments"] if offer["meets"]), None)


def _items(texts: list[str]) -> Items | None:
    return Items([str(text) for text in texts]) if texts else None


def _facts(question: Json) -> Iterator[tuple[str, str]]:
    yield "model", str(question["model"])
    yield "load", f"{rate(question['target_rate_per_s'])}, {question['workload']}"
    yield (
        "objectives",
        "; ".join(f"{name}: {_objective(slo)}" for name, slo in question["objectives"].items()),
    )
    yield "candidates", ", ".join(question["candidates"]["gpus"])
    limits = question["limits"]
    usd = limits["max_usd_per_hour"]
    budget = "" if usd is None else f", {number(usd)} USD an hour"
    yield "limits", f"{limits['max_gpus']:,} GPUs{budget}"


def _objective(slo: Json) -> str:
    bounds = [
        f"{name.removesuffix('_s').upper()} {seconds(slo[name])}"
        for name in ("ttft_s", "tpot_s", "e2e_s")
        if slo[name] is not None
    ]
    return f"{', '.join(bounds)} for {share(slo['share'])}" if bounds else "none"


def _figures(best: Json) -> Iterator[Figure]:
    """Yield what a reader should see first of the best deployment."""
    yield Figure("GPUs", f"{best['gpus']:,}", str(best["gpu"]))
    price = best["usd_per_hour"]
    tokens = best["usd_per_million_tokens"]
    note = "price not known" if price is None else f"{number(tokens)} per 1M output tokens"
    yield Figure("USD an hour", number(price), note)
    held = best["max_rate_interval"]
    if held is not None:
        yield Figure("requests/s held", number(held["value"]), _within(held))
    gain = best["speedup_interval"]
    if gain is not None:
        yield Figure("SD gain", f"{number(gain['value'])}x", _within(gain), tone_of(gain))
    if best["joules_per_token"] is not None:
        yield Figure("energy", f"{number(best['joules_per_token'])} J", "an output token")


def _within(found: Json) -> str:
    return f"95 %: {interval(found)}" if interval(found) else ""


def _fails(plan: Json) -> Items | None:
    """Say why rows do not hold, and what comes closest where none does."""
    lines = [
        f"{offer['rank']} fails: {offer['reason']}"
        for offer in plan["deployments"]
        if not offer["meets"]
    ]
    miss = plan["nearest_miss"]
    if miss is not None:
        lines.append(f"Closest comes {miss['name']}. It would take: {' '.join(miss['takes'])}")
    return _items(lines)


def _of_best(plan: Json, best: Json | None) -> Iterator[Section | None]:
    if best is None:
        return
    yield section("classes", "What each class sees", seen(best, plan["question"]["objectives"]))
    yield section("headroom", "Headroom", headroom(best))


def _evidence(folder: Path) -> list[str]:
    """Return what the command said about the best deployment, if its summary is there."""
    path = folder / "summary.json"
    return list(read_object(path).get("evidence", [])) if path.is_file() else []


def _confirmed(plan: Json) -> Section | None:
    found = plan["confirmation"]
    return found and section("confirmation", "Confirmed with fresh seeds", confirmation(found))


def _serving(best: Json | None) -> Section | None:
    """Return the commands that start the best deployment, by engine."""
    blocks: list[Block] = []
    for export in (best or {}).get("exports", {}).values():
        notes = _items(export["notes"])
        blocks += [
            *(Command(f"Start the first under {export['engine']}", c) for c in export["commands"]),
            *([notes] if notes else []),
        ]
    return section("serve", "How to start it", *blocks)


def _again(plan: Json) -> Section | None:
    """Return the command that simulates each row."""
    rows = [(f"{offer['rank']}: {offer['name']}", offer) for offer in plan["deployments"]]
    miss = plan["nearest_miss"]
    rows += [(f"nearest miss: {miss['name']}", miss)] if miss is not None else []
    commands = [Command(label, str(row["command"])) for label, row in rows]
    return section("again", "Simulate each row again", *commands, folded=True)


def _provenance(plan: Json) -> Section:
    counts, found = plan["counts"], plan["confirmation"]
    facts = {
        "candidates": f"{counts['candidates']:,}",
        "ruled out": f"{counts['screened']:,} by closed forms, {counts['pruned']:,} by bounds",
        "simulations": f"{counts['simulated']:,} run, {counts['cached']:,} from the cache",
        "fresh seeds": ABSENT if found is None else ", ".join(map(str, found["seeds"])),
        "prices": "; ".join(
            f"{gpu} {number(usd)} USD/h"
            for gpu, usd in plan["question"]["usd_per_gpu_hour"].items()
        ),
    }
    return provenance_section(
        command_line(["moesim", "plan", *_words(plan["question"])]), facts, "Ask again"
    )


def _words(question: Json) -> list[str]:
    """Return the words that ask for the same candidates within the same limits."""
    settings = {
        name: value
        for name, value in (question["candidates"] | question["limits"]).items()
        if name != "splits" and value not in (None, [])
    }
    settings["disaggregate"] = len(question["candidates"]["splits"]) > 1
    return [*question["overrides"], *(f"{name}={_written(v)}" for name, v in settings.items())]


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
