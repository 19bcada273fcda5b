"""A study of prefetchers on the terminal: what each is worth, before and after the change."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from simulator.report.figures import (
    ABSENT,
    fine_percent,
    number,
    percent,
    plus_minus,
    signed_percent,
)
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
from simulator.study.prefetch.served import BEFORE
from simulator.study.prefetch.shift import (
    UNTRAINED,
    coverage_difference,
    misses_ratio,
    spared_share,
)
from simulator.study.prefetch.study import PrefetchStudy
from simulator.trace.statistics import Interval, upper, value_of
from simulator.units import KIB

_SIGNED = "+.3f"
"""How differences are written."""

BANKED = "ce_auc_bank"
"""The recipe that the study is about."""

CHEAP = 1.05
"""Misses over those of cross-entropy that are a small price while traffic stays as it was."""

FEW = 3
"""Fewer repetitions are said to be few."""


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
        say(console, sentence)
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
        "brought>",
        "over CE>",
        "spared>",
        tight=True,
        unbroken=1,
    )
    for name in recipe_names(found.rows):
        shares = [figure(found.rows, name, when, field) for field in ("coverage", "no_stall")]
        misses, prefetched = (
            figure(found.rows, name, when, field).value for field in ("misses", "prefetched")
        )
        plain = name in (*UNTRAINED, "ce")
        table.add_row(
            NAMES[name],
            *(fine_percent(one.value) for one in shares),
            number(misses),
            number(misses + prefetched),
            ABSENT if plain else plus_minus(misses_ratio(found.rows, name, when)),
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
        areas = [rank_area(found.rows, name, group).value for group in groups]
        lacked = fine_percent(missing_tail(found.rows, name).value)
        shown = (ABSENT if math.isnan(one) else f"{one:.3f}" for one in areas)
        table.add_row(NAMES[name], *shown, lacked)
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
        table.add_row(NAMES[name], *(plus_minus(one, _SIGNED) for one in differences), lacked)
    return table


def _verdicts(found: PrefetchStudy) -> list[str]:
    """Say what follows, whatever the sign."""
    said = _training_words(found)
    if found.served is not None:
        said += served_words(found.served)
    return said


def _training_words(found: PrefetchStudy) -> list[str]:
    """Say which training misses least after the change, whether it costs before, and what to do."""
    names = found.task.question.recipes
    before, after = (
        {name: misses_ratio(found.rows, name, when) for name in names} for when in WHEN
    )
    known = {name: one for name in names if (one := after[name]) is not None}
    if not known:
        return ["Cross-entropy misses nothing after the change: there is nothing to gain."]
    best = min(known, key=lambda name: known[name].value)
    if best == "ce":
        return ["After the change no training misses less than plain cross-entropy: keep to it."]
    told = [f"After the change {NAMES[best]} misses least: {_against(known[best])}."]
    told += [
        f"{NAMES[name]}: {plus_minus(known[name])}."
        for name in (BANKED, "ce_weighted")
        if name in known and name != best
    ]
    said = [" ".join(told), _null_words(found)]
    helps = {name: (one, before[name]) for name, one in known.items() if upper(one) < 1.0}
    # Where a model was served, time decides, not misses.
    return [*said, _advice(helps)] if found.served is None else said


def _against(one: Interval) -> str:
    return f"{plus_minus(one)} of what plain cross-entropy misses"


def _null_words(found: PrefetchStudy) -> str:
    """Say how far the others are off cross-entropy where traffic stays as it was learned."""
    others = [name for name in found.task.question.recipes if name != "ce"]
    apart = {name: coverage_difference(found.rows, name, BEFORE) for name in others}
    far = max(apart, key=lambda name: abs(apart[name].value))
    said = (
        f"On the traffic that was learned, coverage differs from that of cross-entropy by at most "
        f"{plus_minus(apart[far], _SIGNED)} ({NAMES[far]})"
    )
    if BANKED in apart and far != BANKED:
        said += f", with {NAMES[BANKED]} by {plus_minus(apart[BANKED], _SIGNED)}"
    return said + "."


def _advice(helps: Mapping[str, tuple[Interval, Interval | None]]) -> str:
    """Say what to do: what helps most after the change, and what helps and costs least before."""
    if not helps:
        return (
            "What to do: no training here surely makes up for a change of workload; train anew on "
            "the new traffic."
        )
    cost = {name: 1.0 if before is None else before.value for name, (_, before) in helps.items()}
    most = min(helps, key=lambda name: helps[name][0].value)
    cheap = [name for name in helps if cost[name] < CHEAP]
    mild = min(cheap or helps, key=lambda name: helps[name][0].value)
    said = f"What to do: where the workload will change, {_trade(most, helps[most][0], cost[most])}"
    if mild != most:
        said += f"; where it only may, {_trade(mild, helps[mild][0], cost[mild])}"
    return f"{said}. Best of all, train anew once traffic has changed."


def _trade(name: str, after: Interval, before: float) -> str:
    return (
        f"{NAMES[name]} ({signed_percent(after.value - 1.0)} misses after, "
        f"{signed_percent(before - 1.0)} before)"
    )


def _assumptions(found: PrefetchStudy) -> list[str]:
    question = found.task.question
    seeds = question.first_seed, question.first_seed + question.seeds - 1
    said = (
        f"Per step and layer; means and 95 % intervals over repetitions, seeds {seeds[0]} to "
        f"{seeds[1]}, ratios paired. Brought: missing and prefetched. Spared: of "
        f"the misses on demand that an oracle would spare. Lacked: tail experts (the rarer half) "
        f"of which a training batch had no token."
    )
    if question.seeds < FEW:
        said += f" Fewer than {FEW} repetitions: intervals mean little."
    assumed = (
        f"Assumed: {question.room.resident} of {question.archetype.experts} experts of a layer "
        f"stay (the last used) and {question.room.slots} are prefetched, likely to be needed or "
        f"not; on demand has room for all {sum(question.room)}. Steps of {question.gamma + 1} "
        f"tokens, all of which are taken to be accepted where experts are concerned."
    )
    if found.task.trace is None:
        assumed += (
            " Routes are drawn; after the change the most popular expert has the place of the "
            "least popular, and so on. A drafter sees a linear code of the experts of its tokens, "
            f"through noise of {question.view_noise:g} times its deviation."
        )
    return [said, assumed]
