"""The page of a sweep: where speculation pays, by how much, and what could not run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from simulator.report.figures import bounds, factor, number, seconds
from simulator.report.html.blocks import (
    BAD,
    GOOD,
    NEUTRAL,
    Cell,
    Figure,
    Items,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    section,
    tone_of,
)
from simulator.report.html.folder import SWEEP
from simulator.report.html.grids import plain_table
from simulator.report.html.provenance import command_line, provenance_section
from simulator.report.html.sweep.charts import sweep_charts
from simulator.report.html.sweep.source import (
    SPOKEN,
    SweepSource,
    interval_of,
    read_sweep,
    short_names,
)
from simulator.report.html.sweep.source import Row as Point
from simulator.report.sweep import best_of
from simulator.report.terminal import run_title
from simulator.study.sweep.layout import label_of

_FACTS = ("model", "hardware", "workload", "speculation", "requests", "replications")
_MOST_ROWS, _MOST_EXAMPLES, _MOST_SENTENCES = 200, 5, 30

_READING = (
    "Each point is a paired run: with and without speculative decoding (SD), on the same arrivals, "
    "lengths and acceptance draws. A speedup is the ratio within each replication, above 1 where "
    "speculation is better, with its 95 % interval over the replications.",
    "Charts show two axes; where there are more, the others are held as at the best point, and the "
    "caption says so. The table has all points.",
    "Charts can be zoomed by dragging, a double click shows all again, and a click in a legend "
    "hides a line.",
)


def sweep_page(folder: Path) -> Page:
    """Return the page of the sweep in a folder.

    Raises
    ------
    SimulatorError
        If no point of it is there, or a file cannot be read.
    """
    source = read_sweep(folder)
    answer, rest, tone = _verdict(source)
    shown = sweep_charts(source) if source.done else []
    sections = [
        section("reading", "How to read this page", Items(_READING), folded=True),
        *shown,
        section("points", "All points", _table(source)),
        section("failed", "Failed points", _failures(source)),
        _sentences(source, "warnings", "Warnings"),
        _sentences(source, "assumptions", "Assumptions"),
        _provenance(source),
    ]
    facts = [(name, source.common(name)) for name in _FACTS]
    axes = [f"{axis}: {', '.join(map(label_of, each))}" for axis, each in source.axes.items()]
    return Page(
        kind=SWEEP,
        title=title_of(source),
        facts=[
            ("axes", "; ".join(axes)),
            *((name, text) for name, text in facts if text is not None),
        ],
        verdict=answer,
        tone=tone,
        advice=rest,
        figures=list(_figures(source)),
        sections=[each for each in sections if each is not None],
    )


def _verdict(source: SweepSource) -> tuple[str, str, str]:
    """Return where speculation pays, how complete that is, and the tone."""
    better, worse = _decided(source)
    points, best = len(source.done), best_of(source.rows)
    rest = completeness(source)
    if best is None or best.get(f"speedup.{source.rank}.value") is None:
        return "No point has a speedup.", rest, NEUTRAL
    found = interval_of(best, source.rank)
    within = f" (95 % interval {bounds(found)})" if bounds(found) else ""
    most = f"{factor(found['value'])}{within} at {_words(source, best)}"
    if not any(interval_of(row, source.rank)["low"] is not None for row in source.done):
        answer = f"The {SPOKEN[source.rank]} gains most, {most}; one replication has no interval."
        return answer, rest, NEUTRAL
    answer = (
        f"Speculative decoding pays at {better} of {points} points and costs at {worse}, by the "
        f"{SPOKEN[source.rank]}; most, {most}."
    )
    return answer, rest, GOOD if better > worse else BAD if worse else NEUTRAL


def _decided(source: SweepSource) -> tuple[int, int]:
    """Count the points at which speculation pays, and those at which it costs, beyond chance."""
    found = [interval_of(row, source.rank) for row in source.done]
    better = sum(each["low"] is not None and each["low"] > 1 for each in found)
    return better, sum(each["high"] is not None and each["high"] < 1 for each in found)


def completeness(source: SweepSource) -> str:
    """Say how many points could not run, and how many are still to come."""
    there, asked = len(source.rows), source.state.get("points", len(source.rows))
    failed = len(source.failed)
    told = [f"{failed} of {there} points could not run; the reasons are below."] if failed else []
    if there < asked:
        told.append(f"The sweep is not done: {there} of {asked} points are there.")
    return " ".join(told)


def _figures(source: SweepSource) -> Iterator[Figure]:
    better, worse = _decided(source)
    there = len(source.rows)
    yield Figure("points", f"{there:,}", f"{len(source.failed)} failed")
    yield Figure(
        "pays at", str(better), f"of {len(source.done)} that ran", GOOD if better else NEUTRAL
    )
    yield Figure(
        "costs at", str(worse), f"of {len(source.done)} that ran", BAD if worse else NEUTRAL
    )
    best = best_of(source.rows)
    if best is not None:
        found = interval_of(best, source.rank)
        yield Figure("largest speedup", factor(found["value"]), _words(source, best))


def _words(source: SweepSource, row: Point) -> str:
    names = short_names(list(source.axes))
    told = [axis for axis, values in source.axes.items() if len(values) > 1] or list(source.axes)
    return ", ".join(f"{names[axis]} {label_of(row[axis])}" for axis in told)


def _table(source: SweepSource) -> Table | None:
    """Return the points that ran, the largest speedup first."""
    rank, names = source.rank, short_names(list(source.axes))
    done = sorted(
        source.done, key=lambda row: row.get(f"speedup.{rank}.value") or 0.0, reverse=True
    )
    if not done:
        return None
    figures = ("speedup", "95 % interval", "TPOT p50", "TTFT p90", "tokens/s", "tokens/round")
    shown = done[:_MOST_ROWS]
    more = "" if len(shown) == len(done) else f", the first {len(shown)} of {len(done)}"
    return Table(
        f"Ranked by the speedup of the {SPOKEN[rank]}{more}. TPOT, TTFT, tokens/s and tokens/round "
        "are those with speculation.",
        [Cell(name, right=True) for name in (*names.values(), *figures)],
        [
            Row([*(Cell(label_of(row[axis]), True) for axis in names), *_cells(row, rank)])
            for row in shown
        ],
    )


def _cells(row: Point, rank: str) -> Iterator[Cell]:
    found = interval_of(row, rank)
    yield Cell(factor(found["value"]), True)
    yield Cell(bounds(found), True, tone_of(found))
    for column in ("tpot_s.p50", "ttft_s.p90"):
        yield Cell(seconds(row.get(f"speculative.{column}")), True)
    for column in ("output_tokens_per_s", "mean_acceptance_length"):
        yield Cell(number(row.get(f"speculative.{column}")), True)


def _failures(source: SweepSource) -> Table | None:
    """Return the points that could not run, those of one reason together."""
    by_reason: defaultdict[str, list[Point]] = defaultdict(list)
    for row in source.failed:
        by_reason[row["reason"]].append(row)
    if not by_reason:
        return None
    rows = []
    for reason, alike in list(by_reason.items())[:_MOST_ROWS]:
        examples = "; ".join(_words(source, row) for row in alike[:_MOST_EXAMPLES])
        more = len(alike) - _MOST_EXAMPLES
        rows.append(
            (str(len(alike)), examples + (f"; and {more} more" if more > 0 else ""), reason)
        )
    return plain_table("By reason", ["points>", "which", "reason"], rows)


def title_of(source: SweepSource) -> str:
    """Name the sweep as a run, if all its points are of one; else after what is swept."""
    scenario = {name: source.common(name) for name in ("title", "model", "hardware")}
    if None in scenario.values():
        return f"A sweep over {' and '.join(source.axes)}"
    return run_title(scenario | {"overrides": source.state.get("overrides", [])})


def _sentences(source: SweepSource, column: str, title: str) -> Section | None:
    found = source.sentences(column)
    if not found:
        return None
    more = len(found) - _MOST_SENTENCES
    rest = Paragraph(f"And {more} more, in the column {column}.", quiet=True) if more > 0 else None
    return section(column, title, Items(found[:_MOST_SENTENCES]), rest)


def _provenance(source: SweepSource) -> Section:
    facts = {
        "seed": source.common("seed"),
        "points": f"{len(source.rows)} of {source.state.get('points', len(source.rows))}",
        "moesim (fingerprint of sources and data)": source.state.get("fingerprint"),
        "dataset": str(source.folder / "points"),
    }
    return provenance_section(command_line(["moesim", "sweep", *source.words]), facts)
