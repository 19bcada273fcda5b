"""Where a step's time goes, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.costs.forward import KINDS
from simulator.report.advice import losses
from simulator.report.figures import ABSENT, factor, number, percent, seconds
from simulator.report.parts import in_order, part_name
from simulator.report.terminal import print_pairs
from simulator.report.verdict import verdict
from simulator.study.draft_lengths import DraftLengths
from simulator.study.explain import Explanation, Step
from simulator.units import MS

_RIDGE_NOTE = (
    "On one GPU. Below the ridge point (peak FLOP/s over peak bandwidth) memory is what takes "
    "time, above it compute."
)


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Print where the time of a plain, a verify and a draft step goes, and what that means.

    Parameters
    ----------
    explanation
        Of :func:`simulator.study.explain.explain`.
    console
        Where to print; 80 columns are enough.
    """
    at = explanation.decomposition
    point = f"{at.batch:,} requests on a replica, {at.context_tokens:,} tokens of context each"
    console.print(Text("Where a step's time goes", style="bold"))
    print_pairs([*explanation.scenario.items(), ("point", point)], console)
    console.print(_times(explanation))
    console.print(Text("m measured, f fitted to measurements, a assumed; time in ms", style="dim"))
    console.print(_intensities(explanation))
    console.print(Text(_RIDGE_NOTE, style="dim"))
    if at.gamma:
        console.print(_round(explanation))
        known = [percent(share) for share in (at.measured_share, at.fitted_share, at.assumed_share)]
        note = "Of a round's time {} is measured, {} fitted, {} assumed.".format(*known)
        console.print(Text(note, style="dim"))
    if explanation.levers:
        console.print(_levers(explanation))
    console.print(_lengths(explanation.lengths))
    console.print(Text(" ".join(verdict(explanation)), style="bold"))


def _ms(value_s: float) -> str:
    return f"{value_s / MS:,.2f}"


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    return table


def _times(explanation: Explanation) -> Table:
    """Return time by part: plain step, verify step and its growth, one draft step."""
    steps = list(explanation.steps.values())
    headings = [text for name in explanation.steps for text in (f"{name}\nstep", "share")]
    if explanation.verify is not None:
        headings.insert(4, "verify\n/ plain")
    table = _table("", *headings)

    def add(label: str, cells: Iterable[tuple[str, str]], growth: str) -> None:
        row = [text for cell in cells for text in cell]
        if explanation.verify is not None:
            row.insert(4, growth)
        table.add_row(label, *row)

    for part in in_order(part for step in steps for part in step.parts):
        times = [step.seconds(part) for step in steps[:2]]
        growth = f"{times[-1] / times[0]:.2f}" if times[0] else ABSENT
        add(part_name(part), [_time_cell(step, part) for step in steps], growth)
    table.add_section()
    growth = f"{steps[:2][-1].total_s / steps[0].total_s:.2f}"
    add("whole step", [(f"{_ms(step.total_s)}  ", percent(1)) for step in steps], growth)
    table.add_section()
    for kind in KINDS:
        known = [(step.known_s(kind), step.total_s) for step in steps]
        add(kind, [(f"{_ms(part_s)}  ", percent(part_s / all_s)) for part_s, all_s in known], "")
    return table


def _time_cell(step: Step, part: str) -> tuple[str, str]:
    """Return the time of a part with the first letters of how it is known, and its share."""
    if part not in step.parts:
        return f"{ABSENT}  ", ABSENT
    time = step.parts[part]
    letters = "".join(kind[0] for kind, known_s in zip(KINDS, time, strict=True) if known_s)
    return f"{_ms(time.seconds)} {letters}", percent(step.share(part))


def _intensities(explanation: Explanation) -> Table:
    """Return arithmetic intensity and bound by part, and how many experts are awake."""
    steps = explanation.steps
    table = _table("FLOP per byte moved", *(f"{name} step" for name in steps), "ridge")
    for part in in_order(part for step in steps.values() for part in step.work):
        work = [step.work.get(part) for step in steps.values()]
        cells = [f"{number(w.intensity)} {w.bound:7}" if w else ABSENT for w in work]
        ridge = next(w.ridge for w in work if w)
        table.add_row(part_name(part), *cells, number(ridge))
    if any(step.experts for step in steps.values()):
        table.add_section()
        routed = [step if step.experts else None for step in steps.values()]
        awake = [f"{number(s.active_experts)} of {s.experts}" if s else ABSENT for s in routed]
        table.add_row("active experts", *awake, "")
        if any(step.missing_experts for step in steps.values()):
            missing = [number(s.missing_experts) if s else ABSENT for s in routed]
            table.add_row("of these in host memory", *missing, "")
        each = [number(s.tokens_per_expert) if s else ABSENT for s in routed]
        table.add_row("tokens per active expert", *each, "")
    return table


def _round(explanation: Explanation) -> Table:
    """Return the terms of a round and the factor that each costs."""
    terms, draft = explanation.decomposition, explanation.draft
    divides = losses(terms.sigma, terms.draft_ratio, terms.verify_ratio, terms.rejection_ratio)
    whole = terms.plain_steps
    table = _table("A round of speculation", "time", "plain\nsteps", "share", "loss\nfactor")

    def add(label: str, ratio: float, loss: float) -> None:
        time = seconds(ratio * terms.plain_step_s)
        table.add_row(label, time, f"{ratio:.2f}", percent(ratio / whole), f"{loss:.2f}")

    drafting_s = terms.draft_ratio * terms.plain_step_s
    # Passes over a tree differ, and messages may come on top.
    alike = draft is not None and math.isclose(terms.gamma * draft.total_s, drafting_s)
    each = f" ({terms.gamma} x {seconds(drafting_s / terms.gamma)})" if alike else ""
    efficiency = f"target efficiency {terms.target_efficiency:.2f}"
    tokens = f"{terms.expected_tokens_per_round:.2f} of {terms.gamma + 1}"
    add(f"verification ({efficiency})", terms.verify_ratio, divides["verification"])
    add(f"drafting{each}", terms.draft_ratio, divides["drafting"])
    add("rejection", terms.rejection_ratio, divides["rejection"])
    acceptance = f"acceptance (sigma {terms.sigma:.2f}, {tokens})"
    table.add_row(acceptance, "", "", "", f"{divides['acceptance']:.2f}")
    table.add_section()
    product = (terms.gamma + 1) / terms.speedup
    add("round", whole, product)
    label = f"speedup at equal batch ({terms.gamma + 1} / {product:.2f})"
    table.add_row(label, "", "", "", factor(terms.speedup))
    return table


def _levers(explanation: Explanation) -> Table:
    """Return what each change alone would make of the speedup."""
    table = _table("What would change it", "", "speedup")
    table.columns[1].justify = "left"
    for lever in explanation.levers:
        table.add_row(lever.meaning, lever.change, factor(lever.speedup))
    return table


def _lengths(lengths: DraftLengths) -> Table:
    """Return the speedup by draft length and batch, and the best length of each batch."""
    table = _table("Speedup at a batch of", *map("{:,}".format, lengths.batches))
    for gamma, speedups in lengths.speedups.items():
        table.add_row(f"gamma {gamma}", *map(factor, speedups))
    table.add_section()
    table.add_row("best gamma", *(str(gamma) if gamma else "off" for gamma in lengths.best))
    return table
