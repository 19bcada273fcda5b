"""How far the kernel tables can be trusted, on the terminal and as a picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from simulator.report.figures import ABSENT, fine_percent
from simulator.report.plots import drawing
from simulator.report.tables import frame, say, show
from simulator.study.tables.left_out import LeftOut, median, quantile
from simulator.study.tables.validate import (
    REJECTED,
    Validation,
    bandwidth_fraction,
    metrics,
    pooled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = {
    "experts": "routed experts",
    "decode_attention": "decode attention",
    "prefill_attention": "prefill attention",
    "latent_decode": "latent decode attention",
    "latent_prefill": "latent prefill attention",
    "gemm": "dense products",
    "all_reduce": "all-reduce",
}

_LEFT_OUT = {
    "decode_attention": "one configuration of heads left out",
    "prefill_attention": "one configuration of heads left out",
    "latent_decode": "one number of heads left out",
    "latent_prefill": "one number of heads left out",
    "gemm": "one weight shape left out",
    "all_reduce": "one message size left out",
}

_RULES = {
    "half_activated": "half active",
    "cache_hot": "cache hot",
    "off_plateau": "off plateau",
    "isolated_spike": "spikes",
}
"""Column headings of cleaning rules."""

_HALF_GAP = (
    "Shapes that were measured are used as measured, and others lie in gaps half as wide as those "
    "that leaving out makes."
)

_CAVEATS = {
    "decode_attention": "Shapes that were measured are used as measured. Far off are heads that no "
    "others enclose, and those with a KV head each.",
    "prefill_attention": "Shapes that were measured are used as measured. Far off are widths of "
    "192 and more, which were measured with few numbers of KV heads.",
}

EXPERT_GOAL, RATIO_GOAL = 0.05, 0.03
"""Median errors up to which an unmeasured model is called well predicted; a stated aim."""

REJECTED_GOAL = 0.15
"""Share of rows up to which rules may reject; a stated aim."""

BANDWIDTH = (0.7, 0.95)
"""Fraction of peak bandwidth at which grouped products are known to run; a stated aim."""

_table = partial(frame, least_width=6, unbroken=1)

_POINTS = 1500
"""Rows drawn per operator and GPU, evenly taken: more only make the picture slow."""


def print_validation(validation: Validation, console: Console) -> None:
    """Print one table per operator with what to make of it; fits 80 columns.

    Parameters
    ----------
    validation
        What was left out and predicted.
    console
        Where to print.
    """
    _print_experts(validation, console)
    _print_linear(validation, console)
    for operator in dict.fromkeys(table.operator for table in validation.operators):
        tables = [table for table in validation.operators if table.operator == operator]
        _print_operator(operator, tables, console)
    _print_cleaning(validation, console)


def _print_experts(validation: Validation, console: Console) -> None:
    table = _table("gpu", "format", "shapes>", "median>", "mean>", "ratio>", "spread>")
    for found in validation.experts:
        rows = found.rows
        errors = (rows.median, rows.mean, found.ratio_median, found.spread.median)
        table.add_row(rows.gpu, rows.dtype, str(found.shapes), *map(fine_percent, errors))
    show(console, "Routed experts: one model's shape left out of the fit", table)
    figures = metrics(validation)
    medians = {gpu: figures[f"experts_lomo_median_ape_{gpu}"] for gpu in validation.gpus}
    ratios = {gpu: figures[f"ratio_median_ape_{gpu}"] for gpu in validation.gpus}
    say(
        console,
        "ratio: T(mB) / T(B) for m 2, 4, 8 and B up to 128. spread: experts over several GPUs, or "
        "ungated, which the fit was not made for. With fewer than three shapes none is left out.",
        f"An unmeasured model's experts are off by {_span(medians)} at the median over all "
        f"formats, {_beyond(medians, EXPERT_GOAL)}; the ratio that speculation turns on by "
        f"{_span(ratios)}, {_beyond(ratios, RATIO_GOAL)}.",
    )
    _print_shapes([found.rows for found in validation.experts], console)


def _print_shapes(tables: Sequence[LeftOut], console: Console) -> None:
    groups = [(table, *item) for table in tables for item in table.by_group().items()]
    table = _table("shape (E/K HxI)", "tables>", "median>", "mean>", "largest>", "of")
    for shape in sorted({name for _, name, _ in groups}, key=_numbers):
        errors = {f"{t.gpu} {t.dtype}": found for t, name, found in groups if name == shape}
        medians, means = np.array(list(errors.values())).T
        worst = max(errors, key=lambda key: errors[key][0])
        shares = (median(medians), median(means), errors[worst][0])
        table.add_row(shape, str(len(errors)), *map(fine_percent, shares), worst)
    show(console, "The same by shape, over the tables that hold it", table)
    say(
        console,
        "median, mean: of the tables' own medians and means; largest: the largest median. A shape "
        "unlike all others is the one that a fit to the others misses.",
    )


def _numbers(shape: str) -> list[int]:
    return [int(word) for word in re.findall(r"\d+", shape)]


def _print_linear(validation: Validation, console: Console) -> None:
    table = _table("gpu", "format", "bandwidth>", "off the line>", "R2>", "in the fit>")
    outside = []
    for found in validation.experts:
        key = (found.rows.gpu, found.rows.dtype)
        lines = [line for line in validation.linear if (line.gpu, line.dtype) == key]
        share = bandwidth_fraction(validation, found)
        away = median(np.array([line.mean_error for line in lines]))
        explained = median(np.array([line.r_squared for line in lines]))
        cells = (_number(share), fine_percent(away), _number(explained, 3))
        table.add_row(*key, *cells, _number(found.eta_bandwidth))
        if not BANDWIDTH[0] <= share <= BANDWIDTH[1]:
            outside.append(f"{key[0]} {key[1]} ({_number(share)})")
    show(console, "Experts under uniform routing: a line in the active experts N(t)", table)
    say(
        console,
        "Medians over shapes, 1 to 64 tokens. bandwidth: bytes of an expert over the line's slope, "
        "as a fraction of peak; in the fit: that of the fitted model.",
        f"Outside {BANDWIDTH[0]} to {BANDWIDTH[1]}: {', '.join(outside)}."
        if outside
        else f"All lie in {BANDWIDTH[0]} to {BANDWIDTH[1]}, as memory-bound kernels do.",
    )


def _print_operator(operator: str, tables: Sequence[LeftOut], console: Console) -> None:
    table = _table("gpu", "format", "left out>", "rows>", "median>", "mean>", "p90>")
    worst = ("", 0.0)
    for found in tables:
        errors, groups = found.relative_errors, found.by_group()
        counts = (f"{len(groups):,}", f"{len(errors):,}")
        shares = (found.median, found.mean, quantile(errors, 0.9))
        table.add_row(found.gpu, found.dtype, *counts, *map(fine_percent, shares))
        middle = groups[found.worst][0] if groups else 0.0
        worst = max(worst, (f"{found.worst} ({found.gpu} {found.dtype})", middle), key=_second)
    show(console, f"{_TITLES[operator].capitalize()}: {_LEFT_OUT[operator]}", table)
    whole = pooled(found.relative_errors for found in tables)
    say(
        console,
        f"Half of the rows are predicted within {fine_percent(median(whole))}, nine tenths within "
        f"{fine_percent(quantile(whole, 0.9))}. Worst at its median: {worst[0]}, "
        f"{fine_percent(worst[1])}. "
        f"{_CAVEATS.get(operator, _HALF_GAP)}",
    )


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _print_cleaning(validation: Validation, console: Console) -> None:
    rules = [rule for rule in REJECTED if any(rule in c.dropped for c in validation.cleaning)]
    table = _table("gpu", "all>", "experts>", *(f"{_RULES.get(rule, rule)}>" for rule in rules))
    for gpu in validation.gpus:
        tables = [c for c in validation.cleaning if (c.gpu, c.operator) == (gpu, "experts")]
        seen = max(1, sum(c.seen for c in tables))
        by_rule = (sum(c.dropped.get(rule, 0) for c in tables) / seen for rule in rules)
        shares = [validation.rejected_share(gpu), validation.rejected_share(gpu, "experts")]
        table.add_row(gpu, *map(fine_percent, shares), *map(fine_percent, by_rule))
    show(console, "Rows that a rule rejected, before anything was fitted", table)
    every = {gpu: validation.rejected_share(gpu) for gpu in validation.gpus}
    experts = {gpu: validation.rejected_share(gpu, "experts") for gpu in validation.gpus}
    say(
        console,
        "By rule: of the expert rows. cache hot: so few experts touched, over and over, that their "
        "weights never left the cache.",
        f"Rules reject {_span(every)} of all rows, {_beyond(every, REJECTED_GOAL)}, and "
        f"{_span(experts)} of the expert rows, {_beyond(experts, REJECTED_GOAL)}.",
    )


def plot_predictions(validation: Validation, destination: Path | str) -> Path:
    """Draw predicted over measured times of everything left out, one panel per operator.

    Parameters
    ----------
    validation
        What was left out and predicted.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    tables = [found.rows for found in validation.experts] + validation.operators
    operators = list(dict.fromkeys(table.operator for table in tables))
    with drawing(destination, width=9.6, height=5.4) as figure:
        panels = figure.subplots(2, 4).ravel()
        for axes, operator in zip(panels, operators, strict=False):
            parts = [table for table in tables if table.operator == operator]
            _draw(axes, parts, validation.gpus)
            axes.set_title(_TITLES[operator])
        for axes in panels[len(operators) :]:
            axes.set_axis_off()
        figure.supxlabel("measured (s)", fontsize=9)
        figure.supylabel("predicted without its shape (s)", fontsize=9)
        handles, labels = panels[0].get_legend_handles_labels()
        panels[-1].legend(handles, labels, frameon=False, loc="center", markerscale=6)
    return Path(destination)


def _draw(axes: Axes, tables: Sequence[LeftOut], gpus: Sequence[str]) -> None:
    """Dot predicted over measured, a colour per GPU, and draw where they are equal."""
    for gpu, colour in zip(gpus, cycle(_COLOURS), strict=False):
        parts = [table for table in tables if table.gpu == gpu]
        measured = _thinned(pooled(part.measured for part in parts))
        predicted = _thinned(pooled(part.predicted for part in parts))
        dots = axes.loglog(measured, predicted, ".", color=colour, label=gpu)[0]
        dots.set(markersize=1.5, alpha=0.5, rasterized=True)
    every = pooled(table.measured for table in tables)
    if len(every):
        ends = [every.min(), every.max()]
        axes.loglog(ends, ends, color="#333333", linewidth=0.8)


_COLOURS = ("#0b6bcb", "#d1495b", "#2a9d5c", "#e08e0b", "#7251b5", "#7a7a7a", "#11a3a3")


def _thinned(values: np.ndarray) -> np.ndarray:
    return values[:: max(1, len(values) // _POINTS)]


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if value == value else ABSENT  # noqa: PLR0124 (NaN)


def _known(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _span(values: dict[str, float]) -> str:
    """Write the range of a figure over GPUs."""
    known = _known(values)
    if len(known) < 2:
        return "".join(f"{fine_percent(value)} ({name})" for name, value in known.items()) or ABSENT
    low, high = (pick(known, key=known.__getitem__) for pick in _ENDS)
    return f"{fine_percent(known[low])} ({low}) to {fine_percent(known[high])} ({high})"


_ENDS: tuple[Callable[..., str], ...] = (min, max)


def _beyond(values: dict[str, float], goal: float) -> str:
    """Say which GPUs exceed the goal."""
    over = [name for name, value in _known(values).items() if value > goal]
    limit = fine_percent(goal)
    return f"above {limit} on {', '.join(over)}" if over else f"all within {limit}"
