"""What describes a workload, as tables."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from simulator.report.figures import ABSENT, fine_percent, number, percent, seconds
from simulator.report.tables import frame, say, show
from simulator.study.workloads.describe import Description
from simulator.study.workloads.lengths import CountedLengths
from simulator.study.workloads.reuse import MOST_PIECES
from simulator.study.workloads.skew import TOP

SHOWN_WINDOWS_S = (0.1, 1, 10, 60, 300, 3600)
"""Windows in the table, s; the Parquet file has all of them."""

COARSE = 0.5
"""Share of requests at the very time of the one before from which a clock is called coarse."""

_PAIRS = {
    "prompt_output": "prompt and output of a request",
    "prompt_next_prompt": "prompt and the next prompt",
    "output_next_output": "output and the next output",
    "gap_next_gap": "gap and the next gap",
}


def print_description(found: Description, console: Console) -> None:
    """Print what describes a workload.

    Parameters
    ----------
    found
        What was gathered.
    console
        Where to print.
    """
    console.print(found.title, style="bold", markup=False)
    console.print(f"{found.arrivals.requests:,} requests\n", markup=False)
    if found.open_loop:
        _print_arrivals(found, console)
    _print_lengths(found, console)
    if found.reuse.requests:
        _print_reuse(found, console)
    if found.clients.told_apart:
        _print_clients(found, console)
    say(console, *_notes(found))


def _print_arrivals(found: Description, console: Console) -> None:
    arrivals = found.arrivals
    table = frame("figure", "value>", "Poisson has>")
    table.add_row("mean rate", f"{number(arrivals.rate)} /s", "")
    table.add_row("span", seconds(arrivals.span_s), "")
    table.add_row("CV of gaps", number(arrivals.gap_cv), "1.00")
    day = found.over_time.day()
    if day is not None:
        table.add_row("busiest hour over mean", number(float(day.max())), "1.00")
        table.add_row("quietest hour over mean", number(float(day.min())), "1.00")
    show(console, "Arrivals", table)
    table = frame("window>", "CV of counts>", "Poisson has>", "Fano factor>")
    for count in arrivals.counts:
        if count.window_s in SHOWN_WINDOWS_S and count.cv2 is not None:
            table.add_row(
                f"{count.window_s:g} s",
                number(float(np.sqrt(count.cv2))),
                number(1 / float(np.sqrt(count.mean))),
                number(count.fano),
            )
    show(console, "Counts of arrivals", table)


def _print_lengths(found: Description, console: Console) -> None:
    names = CountedLengths.figures(found.prompt)
    table = frame("tokens", *(f"{name}>" for name in names))
    for name, lengths in (("prompt", found.prompt), ("output", found.output)):
        table.add_row(name, *(f"{value:,.0f}" for value in lengths.figures().values()))
    show(console, "Lengths", table)
    table = frame("rank correlation (Spearman)", "value>")
    for name, value in found.correlations.by_name().items():
        if found.open_loop or not name.startswith("gap"):
            table.add_row(_PAIRS[name], ABSENT if value is None else f"{value:+.2f}")
    show(console, "Correlations", table)


def _print_reuse(found: Description, console: Console) -> None:
    table = frame("cache (tokens)>", "prompt tokens that were there>")
    for size in found.reuse.reused_tokens:
        shown = "unlimited" if size is None else f"{size:,}"
        table.add_row(shown, fine_percent(found.reuse.share(size)))
    show(console, "Prefix reuse, what was used longest ago forgotten first", table)


def _print_clients(found: Description, console: Console) -> None:
    clients = found.clients
    table = frame("busiest clients>", "share of requests>")
    some = {n for n in TOP if n < len(clients.requests)} | {clients.clients_of(0.9)}
    for n in sorted(some):
        table.add_row(str(n), percent(clients.top_share(n)))
    show(console, f"Clients, {len(clients.requests):,} in all", table)


def _notes(found: Description) -> list[str]:
    """Say what the figures do not show by themselves."""
    notes = [f"Assumed: {line}." for line in found.assumptions]
    arrivals = found.arrivals
    together = arrivals.together / max(arrivals.requests - 1, 1)
    if not found.open_loop:
        notes.append(
            "A closed loop: requests come as others leave, and have no times of their own."
        )
    elif together > COARSE:
        notes.append(
            f"{percent(together)} of requests come at the very time of the one before: the clock "
            "is coarse, and windows shorter than its ticks say nothing."
        )
    if found.following:
        notes.append(
            f"{found.following:,} requests wait for the answer to an earlier one; their times are "
            "what the trace has, or the earliest possible."
        )
    if not found.reuse.requests:
        notes.append("The requests do not say what prefixes they share.")
    elif found.reuse.uses.limited:
        notes.append(
            f"More than {2 * MOST_PIECES:,} pieces of text: those used longest ago were forgotten, "
            "by the unlimited cache too."
        )
    if not found.clients.told_apart:
        notes.append("The requests do not say which client they come from.")
    if found.open_loop and found.over_time.day() is None:
        notes.append("Less than a day: no shape over the hours.")
    return notes
