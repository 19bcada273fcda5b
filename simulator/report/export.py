"""What an exported timeline holds, and how to get what it lacks."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from simulator.report.tables import say
from simulator.trace.json_file import Json
from simulator.trace.perfetto.export import Exported
from simulator.units import MEGA


def summary(found: Exported, whole_steps: str | None) -> Json:
    """Return the figures of an export for ``summary.json``."""
    return {
        "metrics": {
            "events": found.events,
            "size_bytes": found.size_bytes,
            "from_s": found.window.from_s,
            "to_s": found.ended_s,
            "run_end_s": found.end_s,
        },
        "cut": found.cut,
        "steps_without_parts": whole_steps,
        "files": {"timeline": str(found.path)},
    }


def print_export(found: Exported, run: Path, whole_steps: str | None, console: Console) -> None:
    """Print what was written.

    Parameters
    ----------
    found
        What was written.
    run
        The folder of the run.
    whole_steps
        Why steps are not taken apart; None if they are.
    console
        Where to.
    """
    span = f"{found.window.from_s:g} s to {found.ended_s:g} s"
    say(
        console,
        f"{found.events:,} events, {found.size_bytes / MEGA:.1f} MB: {span} of a run that ends at "
        f"{found.end_s:g} s.",
    )
    if found.cut:
        command = f"moesim export {shlex.quote(str(run))} --perfetto from_s={found.ended_s!r}"
        say(console, "It ends there since more would exceed max_events. The rest:")
        console.print(f"  {command}\n", soft_wrap=True, markup=False)
    if whole_steps is None:
        say(
            console,
            "Draft, verify and prefill parts of a step are those of the cost model, scaled to what "
            "the step took.",
        )
    else:
        say(console, f"Steps are not taken apart: {whole_steps}")
    say(console, "Open it: drop the file on https://ui.perfetto.dev, which uploads nothing.")
