"""Charts of a plan: the Pareto front, the highest rates, and where speculation stops paying."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.report.figures import number
from simulator.report.html.chart import COLOURS, Axis, Bars, Chart, Line, Rule
from simulator.report.plots import ARM_STYLES

Json = Mapping[str, Any]

_MOST_POINTS = 600
"""Operating points drawn; those on the front come first."""

_INK = "#404040"


def pareto(plan: Json) -> Chart | None:
    """Return throughput of a GPU against interactivity; filled lines join the front."""
    points = sorted(plan["pareto"], key=lambda point: not point["pareto"])[:_MOST_POINTS]
    if not points:
        return None
    left_out = len(plan["pareto"]) - len(points)
    more = f" {left_out:,} points below the front are left out." if left_out else ""
    return Chart(
        key="pareto",
        title="Throughput against interactivity",
        caption="Output tokens a second of a GPU, over those that a user sees. Full dots were "
        "simulated, light ones are closed forms. The line joins the closed forms that no other "
        f"beats in both; a simulation may show more.{more}",
        x=Axis(title="tokens/s of a user"),
        y=Axis(title="tokens/s of a GPU"),
        series=[_front(points), *_clouds(points)],
        wide=True,
        tall=True,
    )


def _front(points: Sequence[Json]) -> Line:
    front = [point for point in points if point["pareto"]]
    front.sort(key=lambda point: point["tokens_per_s_per_user"])
    return _line("Pareto front", front, _INK, joined=True)


def _clouds(points: Sequence[Json]) -> Iterator[Line]:
    """Yield the points by GPU: those of closed forms in a lighter colour."""
    for gpu, colour in zip(dict.fromkeys(p["gpu"] for p in points), COLOURS * 8, strict=False):
        for simulated, tint, name in (
            (True, colour, f"{gpu}, simulated"),
            (False, f"{colour}73", f"{gpu}, closed form"),
        ):
            some = [
                point for point in points if (point["gpu"], point["simulated"]) == (gpu, simulated)
            ]
            if some:
                yield _line(name, some, tint, joined=False)


def _line(name: str, points: Sequence[Json], colour: str, *, joined: bool) -> Line:
    return Line(
        name=name,
        x=[point["tokens_per_s_per_user"] for point in points],
        y=[point["tokens_per_s_per_gpu"] for point in points],
        texts=[
            f"{point['deployment']}, batch {number(point['batch'])}: "
            f"{number(point['tokens_per_s_per_user'])} tokens/s of a user, "
            f"{number(point['tokens_per_s_per_gpu'])} of a GPU"
            for point in points
        ],
        colour=colour,
        joined=joined,
    )


def rates(plan: Json) -> Chart | None:
    """Return the highest rate of each deployment, with speculation and without on the same GPUs."""
    offers = [
        offer for offer in plan["deployments"] if offer["meets"] and offer["max_rate"] is not None
    ]
    if not offers:
        return None
    labels = [f"{offer['rank']}: {offer['gpus']} x\n{offer['gpu']}" for offer in offers]
    without = [(offer["max_rate_without_speculation"] or {}).get("value") for offer in offers]
    series = [
        Bars(
            name="as planned",
            labels=labels,
            values=[offer["max_rate"] for offer in offers],
            colour=ARM_STYLES["speculative"][1],
        )
    ]
    if any(rate is not None for rate in without):
        label, colour = ARM_STYLES["baseline"]
        name = f"{label} on the same GPUs"
        series.append(Bars(name=name, labels=labels, values=without, colour=colour))
    return Chart(
        key="max-rate",
        title="Highest load within the objectives",
        caption="Goodput at its most: the rate of requests up to which every class is in time, by "
        "deployment. The dotted line is the load that is asked for.",
        x=Axis(title="deployment, by rank", scale="category"),
        y=Axis(title="requests/s"),
        series=series,
        rules=[Rule(at=plan["question"]["target_rate_per_s"], label="target load")],
    )


def crossover(plan: Json) -> Chart | None:
    """Return the speedup of a token against the load, which falls to 1 where SD stops paying."""
    found = plan["crossover"]
    if found is None or not found["pairs"]:
        return None
    pairs = sorted(found["pairs"], key=lambda pair: pair["rate_per_s"])
    ratios = [pair["tpot_speedup"] for pair in pairs]
    line = Line(
        name="speedup of TPOT p50",
        x=[pair["rate_per_s"] for pair in pairs],
        y=[ratio["value"] for ratio in ratios],
        low=_known([ratio["low"] for ratio in ratios]),
        high=_known([ratio["high"] for ratio in ratios]),
        colour=ARM_STYLES["speculative"][1],
        marked=True,
    )
    stops = found["rate_per_s"]
    rules = [Rule(at=1.0, label="no gain")]
    if stops is not None:
        rules.append(Rule(at=stops, label="stops paying", vertical=True))
    return Chart(
        key="crossover",
        title="Where speculation stops paying",
        caption=f"Median time per output token without speculation over that with it, against the "
        f"load, on {found['deployment']}; the band is the 95 % interval.",
        x=Axis(title="requests/s"),
        y=Axis(title="speedup (x)"),
        series=[line],
        rules=rules,
    )


def _known(bounds: list[float | None]) -> list[float | None] | None:
    return None if None in bounds else bounds
