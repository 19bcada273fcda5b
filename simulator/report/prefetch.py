"""A study of prefetchers on the terminal: what each is worth, before and after the change."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.table import Table

from simulator.report.figures import factor, fine_percent, number, seconds
from simulator.report.tables import frame, say, show
from simulator.study.prefetch.findings import (
    WHEN,
    figure,
    missing_tail,
    recipe_names,
    tail_difference,
    tpot_ratio,
)
from simulator.study.prefetch.served import AFTER, BEFORE, RESIDENT, SWITCHED, by_batch
from simulator.study.prefetch.shift import ON_DEMAND, misses_ratio
from simulator.study.prefetch.study import HANDED_OVER, PrefetchStudy, ServedStudy
from simulator.trace.statistics import Interval
from simulator.units import KIB

WIDTH = 78
"""Characters of a line of words."""

NAMES = {
    ON_DEMAND: "on demand",
    RESIDENT: "all resident",
    SWITCHED: "with switch",
    "ce": "CE",
    "ce_bank": "CE + bank",
    "ce_auc": "CE + AUC",
    "ce_auc_bank": "CE + AUC + bank",
    "ce_weighted": "class-weighted CE",
    "ce_stratified": "CE, stratified",
}
"""What arms and recipes are called."""


def print_prefetch(found: PrefetchStudy, console: Console) -> None:
    """Print tables of all parts, and what follows from them."""
    for when in WHEN:
        show(console, f"Experts of a step, {when} the change", _recipes(found, when))
    show(console, "Memory of the loss", _memory(found))
    if found.labelled:
        show(console, "Pixels of canvases, less cross-entropy", _labelled(found))
    if found.served is not None:
        for when in WHEN:
            show(console, f"Median TPOT by batch, {when} the change", _served(found.served, when))
    for sentence in (*_verdicts(found), *_assumptions(found)):
        say(console, *textwrap.wrap(sentence, WIDTH))


def _recipes(found: PrefetchStudy, when: str) -> Table:
    table = frame(
        "trained with", "coverage>", "no stall>", "misses>", "over CE>", "lacked>", tight=True
    )
    for name in recipe_names(found.rows):
        shares = [figure(found.rows, name, when, field) for field in ("coverage", "no_stall")]
        lacked = None if name == ON_DEMAND else missing_tail(found.rows, name).value
        table.add_row(
            NAMES[name],
            *(fine_percent(one.value) for one in shares),
            number(figure(found.rows, name, when, "misses").value),
            _interval(misses_ratio(found.rows, name, when)),
            fine_percent(lacked),
        )
    return table


def _memory(found: PrefetchStudy) -> Table:
    table = frame("rows", "pairs, KiB>", "linear, KiB>", "bank, batch / 8, KiB>", tight=True)
    for one in found.memory:
        sizes = (one.naive_bytes, one.linear_bytes, one.banked_bytes)
        table.add_row(str(one.rows), *(number(size / KIB) for size in sizes))
    return table


def _labelled(found: PrefetchStudy) -> Table:
    table = frame("trained with", "tail IoU>", "tail AUC>", "mean IoU>", "lacked>", tight=True)
    for name in dict.fromkeys(row.recipe for row in found.labelled):
        mine = [row for row in found.labelled if row.recipe == name]
        lacked = sum(row.missing_tail for row in mine) / len(mine)
        table.add_row(
            NAMES[name],
            *(
                _interval(tail_difference(found.labelled, name, field), "+.3f")
                for field in ("tail_iou", "tail_auc", "mean_iou")
            ),
            fine_percent(lacked),
        )
    return table


def _served(served: ServedStudy, when: str) -> Table:
    arms = list(dict.fromkeys(run.point.arm for run in served.measured))
    table = frame("batch", *(f"{NAMES[arm]}>" for arm in arms), "prefetch/demand>", tight=True)
    times = {arm: by_batch(served.measured, arm, when) for arm in arms}
    ratios = tpot_ratio(served.measured, HANDED_OVER, when)
    for batch in served.serving.batches:
        mark = " <- crossover" if batch == served.crossover and when == BEFORE else ""
        ratio = ratios.get(batch)
        table.add_row(
            str(batch),
            *(seconds(sum(times[arm][batch]) / len(times[arm][batch])) for arm in arms),
            factor(None if ratio is None else ratio.value) + mark,
        )
    return table


def _verdicts(found: PrefetchStudy) -> list[str]:
    """Say what follows, whatever the sign."""
    said = []
    asked = [name for name in found.task.question.recipes if name != "ce"]
    if asked:
        after = {name: misses_ratio(found.rows, name, AFTER) for name in asked}
        best = min(after, key=lambda name: after[name].value)
        said.append(
            f"After the change {NAMES[best]} misses least: {_interval(after[best])} of what plain "
            f"cross-entropy misses."
        )
        if HANDED_OVER in after and best != HANDED_OVER:
            said[-1] += f" {NAMES[HANDED_OVER]} misses {_interval(after[HANDED_OVER])}."
        before = [misses_ratio(found.rows, name, BEFORE).value for name in asked]
        said.append(
            f"On the traffic that was learned, the others miss {min(before):.2f} to "
            f"{max(before):.2f} of it: how a predictor is trained matters when traffic changes."
        )
    if found.served is not None:
        at = found.served.crossover
        said.append(
            "Prefetching is faster than working on demand with the same memory at every batch "
            "that was served."
            if at is None
            else f"From batch {at} on, prefetching is no faster than working on demand with the "
            f"same memory; the predictor that is handed over is off from "
            f"{found.served.most_distinct:.1f} expected distinct experts of a layer on."
        )
    return said


def _assumptions(found: PrefetchStudy) -> list[str]:
    question = found.task.question
    said = [
        f"Assumed: {question.room.resident} experts of a layer stay (the last used) and "
        f"{question.room.slots} are prefetched; on demand has room for all "
        f"{sum(question.room)}. Steps of {question.gamma + 1} tokens."
    ]
    if found.task.trace is None:
        said[-1] += (
            " Routes are drawn; after the change the most popular expert has the place of the "
            "least popular, and so on. A drafter sees a linear code of the experts of its tokens, "
            f"through noise of {question.view_noise:g} times its deviation."
        )
    return said


def _interval(one: Interval, form: str = ".2f") -> str:
    if one.low is None or one.high is None:
        return f"{one.value:{form}}"
    return f"{one.value:{form}} ({one.low:{form}} to {one.high:{form}})"
