"""The page of a run: verdict, figures, and the evidence from its trace and its cost model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.report.advice import MATERIAL, advice, headline, verdict
from simulator.report.figures import bounds, factor, fine_percent, number, seconds
from simulator.report.html.blocks import (
    BAD,
    GOOD,
    NEUTRAL,
    Command,
    Figure,
    Items,
    Page,
    Paragraph,
    Section,
    section,
    tone_of,
)
from simulator.report.html.folder import RUN
from simulator.report.html.grids import plain_table, table_of
from simulator.report.html.provenance import command_line, provenance_section, versions_text
from simulator.report.html.run.acceptance import acceptance_section
from simulator.report.html.run.closed_form import batch_section
from simulator.report.html.run.experts import experts_section
from simulator.report.html.run.latency import latency_section
from simulator.report.html.run.occupancy import occupancy_section
from simulator.report.html.run.source import RunSource, read_run
from simulator.report.html.run.step_parts import parts_section
from simulator.report.service import class_table, misses
from simulator.report.terminal import next_command, result_notes, result_table, run_title
from simulator.trace.definitions import DEFINITIONS
from simulator.trace.schema import ARMS

Json = dict[str, Any]

_FACTS = ("model", "hardware", "workload", "speculation")

_READING = (
    "Both arms see the same arrivals, lengths and acceptance draws; only speculative decoding (SD) "
    "differs. A speedup is the ratio within each replication, above 1 where speculation is better, "
    "with its 95 % interval over the replications.",
    "TTFT is the time to first token, TPOT the time per output token after it, E2E the time until "
    "the last one. A dash stands where too few requests are behind a percentile, or where a "
    "deployment cannot keep up with its load.",
    "Charts can be zoomed by dragging, a double click shows all again, and a click in a legend "
    "hides a line.",
)


def run_page(folder: Path) -> Page:
    """Return the page of the run in a folder.

    Raises
    ------
    DataError
        If the folder does not hold a whole run of this version.
    """
    source = read_run(folder)
    summary: Json = dict(source.summary)
    scenario = dict(summary.get("scenario") or {})
    if source.overrides is not None:
        scenario["overrides"] = source.overrides
    summary["scenario"] = scenario
    answer, rest, tone = _verdict(summary)
    sections = [
        _reading(),
        _result(summary),
        batch_section(source),
        latency_section(source),
        parts_section(source),
        acceptance_section(source),
        occupancy_section(source),
        experts_section(source),
        _caveats("warnings", "Warnings", summary.get("warnings")),
        _caveats("assumptions", "Assumptions", summary.get("assumptions")),
        _provenance(source),
        _definitions(),
    ]
    return Page(
        kind=RUN,
        title=run_title(scenario) if scenario.get("title") else "A run of moesim simulate",
        facts=list(_facts(scenario)),
        verdict=answer,
        tone=tone,
        advice=rest,
        figures=list(_figures(summary)),
        sections=[each for each in sections if each is not None],
    )


def _facts(scenario: Json) -> Iterator[tuple[str, str]]:
    yield from ((key, str(scenario[key])) for key in _FACTS if scenario.get(key))
    if scenario.get("requests") and scenario.get("replications"):
        yield (
            "runs",
            f"{scenario['requests']:,} requests x {scenario['replications']} replications, "
            f"seed {scenario.get('seed', 0)}",
        )


def _verdict(summary: Json) -> tuple[str, str, str]:
    """Return the answer, what follows from it, and its tone."""
    whole, key = advice(summary), headline(summary)
    if key is None or not summary["scenario"].get("gamma"):
        return whole, "", NEUTRAL
    answer = verdict(summary, key)
    interval = summary["speedup"][key]
    low, high = (interval[end] or interval["value"] for end in ("low", "high"))
    tone = GOOD if low > 1 + MATERIAL else BAD if high < 1 - MATERIAL else NEUTRAL
    return answer, whole.removeprefix(answer).strip(), tone


def _figures(summary: Json) -> Iterator[Figure]:
    """Yield what a reader should see first."""
    for name in ("tpot_s", "ttft_s"):
        off, on = (summary[arm][name]["p50"] for arm in ARMS)
        ratio = summary["speedup"].get(f"{name.removesuffix('_s')}_p50") or {}
        if ratio.get("value") is not None:
            label = f"speedup of {name.removesuffix('_s').upper()} p50"
            note = f"{seconds(off)} → {seconds(on)}"
            interval = f" (95 %: {bounds(ratio)})" if bounds(ratio) else ""
            yield Figure(label, factor(ratio["value"]), note + interval, tone_of(ratio))
    off, on = (summary[arm]["output_tokens_per_s"] for arm in ARMS)
    yield Figure("output tokens/s", number(on), f"off {number(off)}")
    if misses(summary):
        off, on = (summary[arm]["attainment"] for arm in ARMS)
        yield Figure("SLO attainment", fine_percent(on), f"off {fine_percent(off)}")
    length = number(summary["speculative"].get("mean_acceptance_length"))
    yield Figure("acceptance length", length, "tokens a round")
    if summary.get("target_efficiency") is not None:
        note = "plain step / verify step"
        yield Figure("target efficiency", number(summary["target_efficiency"]), note)


def _result(summary: Json) -> Section | None:
    classes = class_table(summary)
    return section(
        "result",
        "Result",
        table_of(result_table(summary), "Speculative decoding off and on"),
        None if classes is None else table_of(classes, "By traffic class"),
        *(Paragraph(note, quiet=True) for note in result_notes(summary)),
        Command("What to run next", next_command(summary)),
        split=True,
    )


def _reading() -> Section | None:
    return section("reading", "How to read this page", Items(_READING), folded=True)


def _caveats(key: str, title: str, sentences: list[str] | None) -> Section | None:
    return section(key, title, Items([str(one) for one in sentences])) if sentences else None


def _provenance(source: RunSource) -> Section:
    scenario = source.summary.get("scenario") or {}
    words = source.overrides
    command = None if words is None else command_line(["moesim", "simulate", *words])
    facts = {
        "seed": scenario.get("seed"),
        "replications": scenario.get("replications"),
        "configuration (SHA-256)": source.config_hash,
        "versions": versions_text(source.versions),
        "trace": ", ".join(path.name for path in source.tables.values()),
    }
    return provenance_section(command, facts)


def _definitions() -> Section:
    table = plain_table(
        "By their names in summary.json", ["figure", "definition"], DEFINITIONS.items()
    )
    return Section("definitions", "How the figures are defined", [table], folded=True)
