"""How far MoESD's curves are reproduced bottom-up, on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from rich.console import Console

from simulator.models.catalog import load_architecture
from simulator.report.figures import ABSENT, fine_percent, seconds, signed_percent
from simulator.report.tables import frame, say, show
from simulator.study.moesd.calibration import Calibration
from simulator.study.moesd.choices import PAIR_BATCHES, Choice
from simulator.study.moesd.experiment import DENSE, MOE, REFERENCE_GAMMA
from simulator.study.moesd.scores import Reproduced, mean_bias, mean_error
from simulator.study.moesd.validate import MoesdValidation, Preparation, bottom_up_metrics

GOALS = {
    "moe_speedup_mape": ("speedup of the MoE, predicted cells", 0.10),
    "dense_speedup_mape": ("speedup of the dense pair, predicted cells", 0.12),
    "peak_value_error": ("peaks of the six MoE curves of fig. 6", 0.08),
}
"""Figures with a stated aim: what they are, and the largest error aimed at."""

_NUMBERS = {
    "unit_ms": "a unit of table 1's step times",
    "plain_step_s": "host time per step",
    "plain_request_s": "host time per step and sequence",
    "draft_step_s": "host time per draft step",
    "draft_request_s": "host time per draft step and request",
    "alpha": "acceptance rate",
    "routing_across_requests": "overlap exponent across requests",
    "bandwidth_fraction": "bandwidth against the tables",
}
"""What calibrated numbers are called."""

_PAIRS = {"qwen2_57b_a14b": "MoE", "opt_30b": "dense"}

_NS = 1e-9

_table = partial(frame, tight=True)

_MODELS = {"qwen2_57b_a14b": "Qwen2-57B", "opt_30b": "OPT-30B", "mixtral_8x7b": "Mixtral-8x7B"}

CALIBRATED = "*"
"""Marks a cell that the calibration looked at."""


def print_moesd(validation: MoesdValidation, console: Console) -> None:
    """Print calibrations, errors by curve and by batch, and other choices; fits 80 columns.

    Parameters
    ----------
    validation
        What was simulated and compared.
    console
        Where to print.
    """
    _print_calibration(validation, console)
    _print_curves(validation, console)
    _print_cells(validation, console)
    _print_sparsity(validation, console)
    _print_models(validation.models, console)
    _print_pairs(validation.pairs, console)
    _print_verdict(validation, console)


def _print_calibration(validation: MoesdValidation, console: Console) -> None:
    table = _table("pair", "calibrated", "value>", "looked at")
    prepared = validation.prepared
    sources = {
        "unit_ms": "plain steps at B 8, 12, 20",
        "plain_request_s": "plain steps at B 8, 12, 20",
        "draft_step_s": "T 0, gamma 4: B 8 and 60",
        "draft_request_s": "T 0, gamma 4: B 8 and 60",
    }
    for name, value in prepared.moe.numbers.items():
        table.add_row(_MODELS[MOE], _NUMBERS[name], _value(name, value), sources.get(name, ""))
    for name, value in prepared.dense.numbers.items():
        table.add_row("OPT-30B", _NUMBERS[name], _value(name, value), "T 0, gamma 4: B 1 and 60")
    show(console, "Calibrated; everything else is a prediction", table)
    say(console, *_about_readings(prepared.readings), _about_layers(validation), _about(prepared))


def _about_readings(readings: Sequence[Calibration]) -> list[str]:
    """Say which readings of the step times were not kept, and why."""
    found = []
    for one in readings:
        negative = [
            f"{_NUMBERS[name]} ({_value(name, one.numbers[name])})" for name in one.negative
        ]
        if negative:
            found.append(
                f"Step times read as {one.title!r} leave below zero: {', '.join(negative)}. A "
                "failure of the routing law or the bandwidth; not kept."
            )
    return found


def _about_layers(validation: MoesdValidation) -> str:
    errors = ", ".join(
        f"{_MODELS[one.model]} {signed_percent(one.error)}" for one in validation.layers
    )
    return (
        f"One layer at batch 1 (app. C.1, nothing calibrated on it): {errors}. So tables give the "
        "time scale, and table 1's unit is not the millisecond."
    )


def _about(prepared: Preparation) -> str:
    """Set the host time that grows with the batch beside the vocabularies."""
    pairs = ((prepared.moe, MOE), (prepared.dense, DENSE))
    per_entry = [
        f"{one.engine.draft_request_s / load_architecture(model).vocab / _NS:.1f} ns"
        for one, model in pairs
    ]
    return (
        f"Per entry of the vocabulary, a draft step and request cost the host {per_entry[0]} (MoE) "
        f"and {per_entry[1]} (dense): it looks like work on logits, which are three times as many."
    )


def _print_curves(validation: MoesdValidation, console: Console) -> None:
    found = validation.found
    headings = ("pair", "fig.", "data set", "T>", "gamma>", "error>", "bias>", "uncal.>")
    table = _table(*headings, "peak at>", "publ.>", "peak>")
    for pair, raw in ((found.moe, found.moe_uncalibrated), (found.dense, found.dense_uncalibrated)):
        for one, before in zip(pair.speedups, raw.speedups, strict=True):
            curve = one.curve
            table.add_row(
                _PAIRS[curve.model],
                curve.figure,
                curve.dataset,
                str(curve.temperature),
                str(curve.gamma),
                _bare(mean_error([one])),
                _bare(mean_bias([one]), "+"),
                _bare(mean_error([before])),
                str(one.best_batch),
                str(one.published_best_batch),
                _bare(one.peak_error, "+"),
            )
    show(console, "Speedup, simulated end to end, against the published curves", table)
    say(
        console,
        "error: mean absolute, %, over predicted cells; bias: mean; uncal.: error with nothing "
        "calibrated. peak: our maximum against that of the published curve, 3-point smoothed, and "
        "the batches of both.",
    )


def _print_cells(validation: MoesdValidation, console: Console) -> None:
    found = validation.found
    columns = [
        _reference(found.moe.speedups),
        found.moe.efficiency,
        _reference(found.dense.speedups),
        found.dense.efficiency,
    ]
    named = [f"{pair} {what}>" for pair in ("MoE", "dense") for what in ("speedup", "T eff.")]
    table = _table("batch>", *(column for name in named for column in (name, "ours>")))
    for index, batch in enumerate(columns[0].curve.batch):
        cells = []
        for one in columns:
            mark = " " if one.predicted[index] else CALIBRATED
            cells += [f"{one.curve.value[index]:.2f}", f"{one.value[index]:.2f}{mark}"]
        table.add_row(str(batch), *cells)
    title = "Temperature 0, gamma 4: speedup and target efficiency, as published and ours"
    show(console, title, table)
    moe, dense = (fine_percent(mean_error([p.efficiency])) for p in (found.moe, found.dense))
    say(
        console,
        f"{CALIBRATED}: the calibration looked at this cell; every other one is a prediction. "
        f"Target efficiency is off by {moe} (MoE) and {dense} (dense). All cells: cells.csv.",
    )


def _print_sparsity(validation: MoesdValidation, console: Console) -> None:
    table = _table("gamma>", "K>", "error>", "window>", "publ.>", "best batch>", "publ.>")
    ordered = sorted(
        validation.found.sparsity, key=lambda s: (-s.found.curve.gamma, -(s.found.curve.top_k or 0))
    )
    for one in ordered:
        curve = one.found.curve
        table.add_row(
            str(curve.gamma),
            str(curve.top_k),
            fine_percent(mean_error([one.found])),
            f"{one.ours.low:.0f} to {one.ours.high:.0f}",
            f"{one.published.low:.0f} to {one.published.high:.0f}",
            str(one.ours.best_batch),
            str(one.published.best_batch),
        )
    show(console, "Qwen2-57B with K of 64 experts per token (fig. 4)", table)
    say(console, "window: batches whose speedup exceeds the peak over sqrt(2).")


def _print_models(choices: Sequence[Choice], console: Console) -> None:
    table = _table("assumed", "error>", "peaks>", "")
    for choice in choices:
        verdict = "an overhead below zero" if choice.refused else ""
        table.add_row(
            choice.title, fine_percent(choice.error), fine_percent(choice.peak_error), verdict
        )
    show(console, "MoE speedup, had something else been assumed (closed form)", table)
    say(
        console,
        "Charging host time to draft steps or to rounds cannot be told apart at gamma 4 alone.",
    )


def _print_pairs(pairs: Sequence[Choice], console: Console) -> None:
    table = _table("", *(f"{batch}>" for batch in PAIR_BATCHES[1:]))
    by_pair = {choice.pair: choice for choice in pairs}
    for low in PAIR_BATCHES[:-1]:
        row = [by_pair.get((low, high)) for high in PAIR_BATCHES[1:]]
        table.add_row(str(low), *(_cell(choice) for choice in row))
    show(console, "Error of the MoE speedup, %, had another pair of batches been looked at", table)
    kept = sorted(choice.error for choice in pairs if not choice.refused)
    say(
        console,
        f"(): an overhead below zero. The other {len(kept)} of {len(pairs)} pairs: "
        f"{fine_percent(kept[0])} to {fine_percent(kept[-1])}, "
        f"median {fine_percent(float(np.median(kept)))}.",
    )


def _print_verdict(validation: MoesdValidation, console: Console) -> None:
    figures = bottom_up_metrics(validation)
    lines = []
    for name, (what, goal) in GOALS.items():
        value = figures[name] or 0.0
        verdict = "within" if value <= goal else "MISSES"
        lines.append(f"Mean error, {what}: {fine_percent(value)} ({verdict} {fine_percent(goal)}).")
    uncalibrated = [
        fine_percent(figures[f"uncalibrated_{pair}_mape"] or 0.0) for pair in ("moe", "dense")
    ]
    lines.append(
        f"Without any calibration: {uncalibrated[0]} (MoE), {uncalibrated[1]} (dense): the host "
        "time of this engine's draft steps is what tables cannot know."
    )
    ours, published = validation.crossover, validation.published_crossover
    lines.append(
        f"The MoE overtakes the dense pair at batch {_batch(ours)}, published: {_batch(published)}."
    )
    lines.append("Next: moesim simulate model=qwen2_57b_a14b hardware.engine=FILE, a file below.")
    say(console, *lines)


def _reference(found: Sequence[Reproduced]) -> Reproduced:
    """Return the curve at temperature 0 and the draft length that calibration looks at."""
    for one in found:
        if (one.curve.temperature, one.curve.gamma) == (0, REFERENCE_GAMMA):
            return one
    return found[0]


def _bare(value: float, sign: str = "") -> str:
    """Write a share in percent without the unit."""
    return ABSENT if math.isnan(value) else f"{100 * value:{sign}.1f}"


def _batch(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1f}"


def _value(name: str, value: float) -> str:
    """Write a calibrated number with its unit."""
    if name.endswith("_s"):
        return seconds(value)
    return f"{value:.3f} ms" if name.endswith("_ms") else f"{value:.3f}"


def _cell(choice: Choice | None) -> str:
    if choice is None:
        return ""
    text = f"{100 * choice.error:.1f}"
    return f"({text})" if choice.refused else text
