"""A study of prefetchers on the terminal: what each is worth, before and after the change."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.table import Table

from simulator.report.figures import ABSENT, fine_percent, number, percent
from simulator.report.prefetch_names import NAMES
from simulator.report.prefetch_served import next_command, served_words, show_served
from simulator.report.tables import frame, say, show
from simulator.study.prefetch.findings import (
    WHEN,
    figure,
    missing_tail,
    rank_area,
    recipe_names,
    tail_difference,
)
from simulator.study.prefetch.shift import UNTRAINED, misses_ratio, spared_share
from simulator.study.prefetch.study import PrefetchStudy
from simulator.trace.statistics import Interval, value_of
from simulator.units import KIB

WIDTH = 78
"""Characters of a line of words."""

BANKED = "ce_auc_bank"
"""The recipe that the study is about."""


def print_prefetch(found: PrefetchStudy, console: Console) -> None:
    """Print tables of all parts, and what follows from them."""
    for when in WHEN:
        show(console, f"Experts of a step, {when} the change", _recipes(found, when))
    show(console, "Areas under ROC curves, and tail experts that batches lacked", _ranks(found))
    show(console, "Memory of the loss", _memory(found))
    if found.labelled:
        show(console, "Pixels of canvases, less cross-entropy", _labelled(found))
    if found.served is not None:
        show_served(found.served, console)
    for sentence in (*_verdicts(found), *_assumptions(found)):
        say(console, *textwrap.wrap(sentence, WIDTH))
    if found.served is not None:
        console.print("Serve with the predictor that is handed over:")
        console.print(next_command(found.served), soft_wrap=True, markup=False)
        console.print()


def _recipes(found: PrefetchStudy, when: str) -> Table:
    table = frame(
        "trained with",
        "coverage>",
        "no stall>",
        "misses>",
        "over CE>",
        "spared>",
        tight=True,
        unbroken=1,
    )
    for name in recipe_names(found.rows):
        shares = [figure(found.rows, name, when, field) for field in ("coverage", "no_stall")]
        table.add_row(
            NAMES[name],
            *(fine_percent(one.value) for one in shares),
            number(figure(found.rows, name, when, "misses").value),
            _interval(misses_ratio(found.rows, name, when)),
            percent(value_of(spared_share(found.rows, name, when))),
        )
    return table


def _ranks(found: PrefetchStudy) -> Table:
    groups = ("head", "mid", "tail")
    headings = [f"{group} AUC>" for group in groups]
    table = frame("trained with", *headings, "lacked>", tight=True, unbroken=1)
    for name in recipe_names(found.rows):
        if name in UNTRAINED:
            continue
        areas = [rank_area(found.rows, name, group) for group in groups]
        lacked = fine_percent(missing_tail(found.rows, name).value)
        table.add_row(NAMES[name], *(f"{one.value:.3f}" for one in areas), lacked)
    return table


def _memory(found: PrefetchStudy) -> Table:
    table = frame("rows>", "pairs, KiB>", "linear, KiB>", "bank, batch / 8, KiB>", tight=True)
    for one in found.memory:
        sizes = (one.naive_bytes, one.linear_bytes, one.banked_bytes)
        table.add_row(str(one.rows), *(number(size / KIB) for size in sizes))
    return table


def _labelled(found: PrefetchStudy) -> Table:
    headings = ("tail IoU>", "tail AUC>", "mean IoU>", "lacked>")
    table = frame("trained with", *headings, tight=True, unbroken=1)
    for name in dict.fromkeys(row.recipe for row in found.labelled):
        mine = [row for row in found.labelled if row.recipe == name]
        differences = [
            tail_difference(found.labelled, name, field)
            for field in ("tail_iou", "tail_auc", "mean_iou")
        ]
        lacked = fine_percent(sum(row.missing_tail for row in mine) / len(mine))
        table.add_row(NAMES[name], *(signed_interval(one) for one in differences), lacked)
    return table


def _verdicts(found: PrefetchStudy) -> list[str]:
    """Say what follows, whatever the sign."""
    said = _training_words(found)
    if found.served is not None:
        said += served_words(found.served)
    return said


def _training_words(found: PrefetchStudy) -> list[str]:
    """Say which training misses least, before the change and after, and what to do."""
    asked = [name for name in found.task.question.recipes if name != "ce"]
    ratios = {name: [misses_ratio(found.rows, name, when) for when in WHEN] for name in asked}
    known = {name: (one, two) for name, (one, two) in ratios.items() if one and two}
    if not known:
        return []
    best = min(known, key=lambda name: known[name][1].value)
    said = (
        f"After the change {NAMES[best]} misses least: {_interval(known[best][1])} of what plain "
        f"cross-entropy misses. On the traffic that was learned it misses "
        f"{_interval(known[best][0])}."
    )
    if BANKED in known and best != BANKED:
        before, after = known[BANKED]
        said += f" {NAMES[BANKED]}: {_interval(after)} after, {_interval(before)} before."
    dear = [NAMES[name] for name, (before, _) in known.items() if (before.low or 0.0) > 1.0]
    costs = (
        f"Before the change {' and '.join(dear)} misses more than plain cross-entropy."
        if dear
        else "Before the change none misses surely more than plain cross-entropy."
    )
    return [said, costs]


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


def _interval(one: Interval | None) -> str:
    if one is None or one.low is None or one.high is None:
        return ABSENT if one is None else f"{one.value:.2f}"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def signed_interval(one: Interval) -> str:
    """Write a difference, and half of its interval.

    Examples
    --------
    >>> signed_interval(Interval(0.0581, 0.05, 0.066)), signed_interval(Interval(-0.1, None, None))
    ('+0.058 ±0.008', '-0.100')
    """
    if one.low is None or one.high is None:
        return f"{one.value:+.3f}"
    return f"{one.value:+.3f} ±{(one.high - one.low) / 2:.3f}"
