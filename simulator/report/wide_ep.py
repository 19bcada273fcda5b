"""Wide expert parallelism beside what was reported, and speculation as EP grows, as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from simulator.costs.forward import KINDS, total_s
from simulator.report.figures import factor, fine_percent, number, percent
from simulator.report.parts import in_order, part_name
from simulator.report.tables import frame, say, show
from simulator.study.wide_ep.decode import COMMUNICATION, Modelled
from simulator.study.wide_ep.speculation import Point
from simulator.study.wide_ep.validate import SAME_REQUESTS, WideEp
from simulator.units import MS

SHOWN_BATCHES = (1, 8, 64)
"""Requests of a GPU that get columns of their own."""


_NOTES = {
    "projections": "of attention, fp8 in blocks",
    "attention": "latent, over a bfloat16 cache",
    "dispatch": "fp8, a copy for each chosen expert",
    "experts": "products of the busiest GPU",
    "combine": "bfloat16, a result of each of them",
    "engine": "host, fitted to 1 to 8 GPUs",
    "elementwise": "norms, rotation, activations",
}
"""What parts are, where the name does not say."""


def print_wide_ep(found: WideEp, console: Console) -> None:
    """Print every reported deployment part by part, then speculation by size.

    Parameters
    ----------
    found
        What was found.
    console
        Where to print; 80 columns are enough.
    """
    for one in found.deployments:
        _print_deployment(one, console)
    plan = found.plan
    title = (
        f"Speculation as EP grows: MTP, gamma {plan.gamma}, alpha {plan.alpha:g}, H200, "
        f"context {plan.context_tokens:,}"
    )
    show(console, title, _speculation(found))
    say(console, *_verdict(found))


def _print_deployment(one: Modelled, console: Console) -> None:
    reported = one.reported
    point = f"{reported.batch.value:g} requests a GPU, context {reported.context_tokens.value:,.0f}"
    show(console, f"{reported.title}: {point}", _parts(one))
    console.print("m measured, f fitted to measurements, a assumed", style="dim")
    console.print(_variants(one))
    say(console, *_explained(one), f"Reported: {reported.output_tokens.source}.")


def _parts(one: Modelled) -> Table:
    """Return a plain step by part, one row each."""
    table = frame("a step of a GPU", "ms>", "share>", "known as>", "what it is", tight=True)
    whole_s = total_s(one.parts)
    for part in in_order(one.parts):
        time = one.parts[part]
        known = "".join(kind[0] for kind, s in zip(KINDS, time, strict=True) if s)
        share = percent(time.seconds / whole_s)
        note = _NOTES.get(part, "")
        table.add_row(part_name(part), f"{time.seconds / MS:.2f}", share, known, note)
    table.add_section()
    table.add_row("whole step", f"{whole_s / MS:.2f}", percent(1), "", "nothing overlapped")
    table.add_row("token to token", f"{one.reported_step_s / MS:.2f}", "", "", "as reported")
    return table


def _variants(one: Modelled) -> Table:
    table = frame("tokens/s of a node", "step, ms>", "modelled>", "reported>", "ratio>")
    for variant in one.variants:
        table.add_row(
            variant.meaning,
            f"{variant.step_s / MS:.1f}",
            number(variant.tokens_per_s),
            number(one.reported.output_tokens.value),
            factor(variant.ratio),
        )
    return table


def _explained(one: Modelled) -> Iterator[str]:
    """Yield what the ratio rests on, the weightiest part first."""
    whole_s = total_s(one.parts)
    serial, overlapped = one.variants[:2]
    sent = sum(one.parts[part].seconds for part in COMMUNICATION)
    does = "overlaps them" if one.reported.overlapped else "does not overlap them"
    low, high = sorted((serial.ratio, overlapped.ratio))
    lies = f"What was reported lies {'between' if low <= 1.0 <= high else 'beyond'}"
    yield (
        f"Dispatch and combine are {percent(sent / whole_s)} of a step that overlaps nothing; the "
        f"deployment {does}. {lies} no overlap ({factor(serial.ratio)}) and perfect overlap "
        f"({factor(overlapped.ratio)})."
    )
    yield (
        "DeepEP was measured over up to 64 GPUs and is scaled to these by the topology; experts "
        "are DeepGEMM's masked products, measured over 4 to 256 GPUs without replicas and fitted "
        "for the slots here; imbalance beyond chance is left out."
    )
    known = {kind: sum(getattr(time, f"{kind}_s") for time in one.parts.values()) for kind in KINDS}
    shares = ", ".join(f"{percent(seconds / whole_s)} {kind}" for kind, seconds in known.items())
    yield (
        f"Of the step {shares}. The busiest GPU gets {one.busiest_tokens:.2f} times the mean token "
        f"copies and {one.busiest_experts:.2f} times the active experts, if all are equally "
        f"popular."
    )


def _speculation(found: WideEp) -> Table:
    """Return target efficiency and speedup by size, at a few batches."""
    batches = [batch for batch in SHOWN_BATCHES if batch in found.plan.batches]
    at = [f"at {batch}>" for batch in batches]
    table = frame("EP", *at, f"{SAME_REQUESTS:g} in all>", "experts>", *at)
    for line in found.curves:
        points = {point.batch: point for point in line.points}
        table.add_row(
            str(line.expert_parallel),
            *(f"{points[b].target_efficiency:.3f}" if b in points else "" for b in batches),
            f"{line.same_requests.target_efficiency:.3f}",
            fine_percent(line.points[0].experts_penalty),
            *(factor(points[b].speedup) if b in points else "" for b in batches),
        )
    return table


def _verdict(found: WideEp) -> Iterator[str]:
    """Yield what the table says, whichever way it went."""
    smallest, largest, best = found.curves[0], found.curves[-1], found.least_penalty
    batch = smallest.points[0].batch
    yield (
        f"Columns: target efficiency by requests of a GPU, and with {SAME_REQUESTS:g} requests on "
        f"all GPUs together; the share of a verify step that experts add at {batch:g} a GPU; "
        f"speedup by requests of a GPU. Closed form, nothing overlapped."
    )
    what = f"shrinks up to EP {best.expert_parallel}" if found.shrinks else "does not shrink"
    sizes = dict.fromkeys((smallest, best, largest))
    total, woken = (
        ", ".join(
            f"{fine_percent(getattr(one.points[0], name))} at EP {one.expert_parallel}"
            for one in sizes
        )
        for name in ("penalty", "experts_penalty")
    )
    yield (
        f"The small-batch penalty {what}: at {batch:g} a GPU a verify step takes longer than a "
        f"plain one by {total} of its time. Experts that the drafts wake are {woken}: many GPUs "
        f"together wake all experts in any step."
    )
    yield from _large_batches(smallest.points[-1], largest.points)


def _large_batches(few: Point, points: tuple[Point, ...]) -> Iterator[str]:
    """Yield what happens where a GPU has many requests."""
    many = next((point for point in points if point.batch == few.batch), None)
    if many is None:
        return
    verb = "falls" if many.speedup < few.speedup else "rises"
    yield (
        f"At {few.batch:g} a GPU the speedup {verb} from {factor(few.speedup)} to "
        f"{factor(many.speedup)}: dispatch and combine grow with the drafted tokens, by "
        f"{fine_percent(few.exchange_penalty)} and {fine_percent(many.exchange_penalty)} of a "
        f"verify step."
    )
