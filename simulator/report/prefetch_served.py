"""A model that was served with prefetchers, on the terminal: TPOT by batch, crossovers, and why."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from simulator.report.figures import ABSENT, number, plus_minus, signed_percent
from simulator.report.prefetch_names import NAMES, short
from simulator.report.tables import frame, show
from simulator.study.prefetch.crossover import crossover
from simulator.study.prefetch.findings import (
    ALIKE,
    COUNTED,
    INDEPENDENT,
    WHEN,
    foretold_bound,
    foretold_crossover,
    served_arms,
)
from simulator.study.prefetch.model_run import ServedStudy
from simulator.study.prefetch.served import AFTER, BEFORE, RESIDENT, by_batch, tpot_ratio
from simulator.study.prefetch.shift import ON_DEMAND
from simulator.trace.statistics import upper
from simulator.units import MS

_ERRLESS = {
    COUNTED: "one that never errs",
    INDEPENDENT: "the same, if steps were independent",
    ALIKE: "the same, if experts were all alike",
}
"""A predictor that never errs, by where h comes from."""


def show_served(served: ServedStudy, console: Console) -> None:
    """Print tables of times, of ratios to work on demand, of crossovers, and of what is behind."""
    for when in WHEN:
        title = f"Time per output token (ms), p50/p99, {when} the change"
        show(console, title, _times(served, when))
    for when in WHEN:
        title = f"Median TPOT over that on demand, {when} the change (*: not faster from here)"
        show(console, title, _ratios(served, when))
    show(console, "Batch from which on prefetching is useless", _crossovers(served))
    for when in WHEN:
        show(console, f"Why, {when} the change", _odds(served, when))


def _times(served: ServedStudy, when: str) -> Table:
    arms = served_arms(served)
    table = frame("batch>", *(f"{short(arm)}>" for arm in arms), tight=True)
    times = {
        arm: [by_batch(served.measured, arm, when, f"tpot_{label}_s") for label in ("p50", "p99")]
        for arm in arms
    }
    for batch in served.batches:
        cells = [
            "/".join(number(float(np.mean(one[batch])) / MS) for one in times[arm]) for arm in arms
        ]
        table.add_row(str(batch), *cells)
    return table


def _ratios(served: ServedStudy, when: str) -> Table:
    arms = [arm for arm in served_arms(served) if arm not in (ON_DEMAND, RESIDENT)]
    table = frame("batch>", *(f"{short(arm)}>" for arm in arms), tight=True)
    ratios = {arm: tpot_ratio(served.measured, arm, when) for arm in arms}
    useless = {arm: crossover(served.measured, arm, when) for arm in served.serving.predictors}
    for batch in served.batches:
        marks = [" *" if useless.get(arm) == batch else "  " for arm in arms]
        cells = [
            plus_minus(ratios[arm][batch], ".3f") + mark
            for arm, mark in zip(arms, marks, strict=True)
        ]
        table.add_row(str(batch), *cells)
    return table


def _crossovers(served: ServedStudy) -> Table:
    headings = [heading for when in WHEN for heading in (f"{when}>", "foretold>")]
    table = frame("predictor", *headings, tight=True, unbroken=1)
    for arm in served.serving.predictors:
        cells = []
        for when in WHEN:
            measured = crossover(served.measured, arm, when)
            cells += [_from(served, measured), _from(served, foretold_crossover(served, arm, when))]
        table.add_row(NAMES[arm], *cells)
    for kept_from, label in _ERRLESS.items():
        bounds = [_from(served, foretold_bound(served, when, kept_from)) for when in WHEN]
        table.add_row(label, ABSENT, bounds[0], ABSENT, bounds[1])
    return table


def _from(served: ServedStudy, batch: float | None) -> str:
    return f"> {served.batches[-1]}" if batch is None else str(math.ceil(batch))


def _useless(served: ServedStudy, batch: float | None) -> str:
    if batch is None:
        return f"at no batch up to {served.batches[-1]}"
    return f"from batch {math.ceil(batch)} on"


def _odds(served: ServedStudy, when: str) -> Table:
    arms = list(served.serving.predictors)
    named = (f"q, {short(arm)}>" for arm in arms)
    table = frame("batch>", "N>", "N if alike>", "h>", "w>", *named, tight=True)
    for one in served.odds[when]:
        shares = (one.kept, one.exposed, *(one.hits[arm] for arm in arms))
        table.add_row(
            str(one.batch),
            number(one.distinct),
            number(one.alike),
            *(f"{share:.3f}" for share in shares),
        )
    return table


def served_words(served: ServedStudy) -> list[str]:
    """Say where the crossover lies, whether theory foretold it, and what to do."""
    said = [
        "Prefetches are hidden behind a whole step, its drafting included, as of who prefetches "
        "while drafts are drawn.",
        _theory_words(served),
    ]
    if RESIDENT not in served.serving.unpredicted:
        said.append("The GPU is too small for all experts: they are nowhere all resident.")
    return [*said, _switch_words(served), _advice(served)]


def _theory_words(served: ServedStudy) -> str:
    alike, counted = (foretold_bound(served, BEFORE, one) for one in (ALIKE, COUNTED))
    own, experts = foretold_crossover(served, served.hand_over, BEFORE), served.serving.experts
    return (
        f"h is the chance that what slots keep on demand is needed, w the share of prefetches that "
        f"is not hidden, q the share of prefetched experts that is needed: prefetching pays where "
        f"q - h > w. As the N distinct experts of a step go to {experts}, h goes to one. A "
        f"predictor that never errs would be useless {_useless(served, alike)} if experts were all "
        f"alike (h = N / {experts}), and {_useless(served, counted)} with h as counted along the "
        f"routes; {NAMES[served.hand_over]}, which errs, is foretold to be "
        f"useless {_useless(served, own)}."
    )


def _switch_words(served: ServedStudy) -> str:
    name, at = NAMES[served.hand_over], served.crossover
    if at is None:
        return (
            f"Prefetching by {name} is faster than working on demand with the same memory at every "
            f"batch up to {served.batches[-1]}: no crossover was found, and the predictor that is "
            f"handed over has no switch."
        )
    if at == served.batches[0]:
        return _never(served)
    return (
        f"Measured, {name} is not surely faster than working on demand with the same memory from "
        f"batch {at} on. The predictor that is handed over switches itself off from "
        f"{served.most_distinct:.1f} expected distinct experts of a layer on, and its slots keep "
        f"the last used then."
    )


def _advice(served: ServedStudy) -> str:
    """Say what to do at the smallest batch, by what is faster before the change and after."""
    batch = served.batches[0]
    gains = {
        arm: [tpot_ratio(served.measured, arm, when)[batch] for when in WHEN]
        for arm in served.serving.predictors
    }
    told = {
        arm: f"{NAMES[arm]} ({signed_percent(before.value - 1.0)} before, "
        f"{signed_percent(after.value - 1.0)} after)"
        for arm, (before, after) in gains.items()
    }
    both = [arm for arm, pair in gains.items() if max(map(upper, pair)) < 1.0]
    learned = min(gains, key=lambda arm: gains[arm][0].value)
    changed = min(gains, key=lambda arm: gains[arm][1].value)
    head = f"What to do at batch {batch}, by TPOT over that on demand"
    if both:
        best = min(both, key=lambda arm: sum(one.value for one in gains[arm]))
        return f"{head}: prefetch by {told[best]}, faster on both traffics."
    if upper(gains[learned][0]) >= 1.0:
        return f"{head}: do not prefetch; the best is {told[learned]}."
    more = "" if changed == learned else f" Least is lost after by {told[changed]}."
    return (
        f"{head}: prefetch by {told[learned]} while traffic stays as it was learned, and train "
        f"anew once it changes. No training is surely faster on both traffics.{more}"
    )


def _never(served: ServedStudy) -> str:
    """Say why prefetching loses at the smallest batch."""
    first = served.odds[BEFORE][0]
    why = (
        f"the host link is the bottleneck: {100 * first.exposed:.0f} % of the time of prefetches "
        f"is not hidden behind the layers"
        if first.exposed > 2.0 / served.layers
        else "what was used last is needed as often as what it expects"
    )
    return (
        f"Prefetching by {NAMES[served.hand_over]} is surely faster at no batch that was served: "
        f"{why}. "
        f"The predictor that is handed over is off; keep the last used instead "
        f"(experts.offload.prefetch=none with resident_experts={sum(served.serving.room)})."
    )


def next_command(served: ServedStudy) -> str:
    """Return the command that serves with the predictor that is handed over."""
    room, serving = served.serving.room, served.serving
    words = [word for word in serving.words if not word.startswith("run.")]
    return shlex.join(
        [
            "moesim",
            "simulate",
            *words,
            f"workload.concurrency={served.batches[0]}",
            f"scheduler.max_num_seqs={served.batches[0]}",
            f"speculation.gamma={serving.gamma}",
            "experts=offloaded",
            "experts.fidelity=sampled",
            "routing=recorded",
            f"routing.path={_plain(serving.routes[AFTER])}",
            f"experts.offload.resident_experts={room.resident}",
            "experts.offload.prefetch=learned",
            f"experts.offload.prefetch_experts={room.slots}",
            f"experts.offload.predictor={_plain(served.files['predictor'])}",
            "run.requests=200",
            "run.replications=3",
        ]
    )


def _plain(path: Path) -> str:
    """Write a path as Hydra reads it: in quotes of its own where there is more than plain words."""
    return f"{path}" if re.fullmatch(r"[\w./-]+", f"{path}") else f"'{path}'"
