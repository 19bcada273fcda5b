"""Measured acceptance on the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.figures import percent
from simulator.study.calibration.acceptance import CONFIDENCE, FEW_DRAFTS, Acceptance, Estimate
from simulator.study.calibration.acceptance_profile import option_name, overrides

_SHORT = 0.02
"""Share of the drafts' length below which their being shorter goes without saying."""


def print_acceptance(
    servers: Sequence[Acceptance],
    models: Mapping[str, Acceptance],
    folder: Path,
    console: Console,
) -> None:
    """Print rates by position with what to make of them; fits 80 columns.

    Parameters
    ----------
    servers
        What each server of the page accepted.
    models
        The same by model, engines pooled.
    folder
        Where the settings were written, for the next command.
    console
        Where to print.
    """
    for model, found in models.items():
        engines = [one for one in servers if one.model == model]
        _print_model(found, engines, console)
        for caution in cautions(found):
            console.print(Text(f"- {caution}"))
        console.print()
    console.print(
        Text(
            f"Intervals ({CONFIDENCE:.0%}) take rounds as independent. Rounds of one request are "
            "alike, so the truth lies outside more often than they say."
        )
    )
    console.print(Text("\nNext:"))
    for model, found in models.items():
        words = f"--config-dir {folder} speculation={option_name(model)}"
        console.print(f"  moesim simulate {words}", soft_wrap=True, markup=False)
        console.print(
            f"  moesim simulate {shlex.join(overrides(found))}", soft_wrap=True, markup=False
        )


def _print_model(found: Acceptance, engines: Sequence[Acceptance], console: Console) -> None:
    title = f"{found.model or 'unnamed model'}: {found.drafts:,.0f} drafts of up to {found.gamma}"
    console.print(Text(title, style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    table.add_column("accepted")
    table.add_column("pooled" if len(engines) > 1 else "rate", justify="right")
    table.add_column("interval", justify="right")
    shown = engines if len(engines) > 1 else []
    for engine in shown:
        table.add_column(f"engine {engine.engine}", justify="right")
    for index, alpha in enumerate(found.alphas):
        mine = [one.alphas[index] if index < len(one.alphas) else None for one in shown]
        row = (f"position {index + 1}", *_cells(alpha), *map(_value, mine))
        table.add_row(*row)
    table.add_row(
        "acceptance length", *_cells(found.length), *(_value(one.length) for one in shown)
    )
    console.print(table)


def _cells(estimate: Estimate) -> tuple[str, str]:
    return _value(estimate), f"{estimate.low:.3f} to {estimate.high:.3f}"


def _value(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.3f}"


def cautions(found: Acceptance) -> list[str]:
    """Say what weakens the figures of a model, and what to do about it."""
    said = []
    if found.drafts < FEW_DRAFTS:
        said.append(
            f"Only {found.drafts:g} drafts: the intervals are wide. Serve at least {FEW_DRAFTS}, "
            "better some thousands, of your own requests and save the page again."
        )
    if found.short_share > _SHORT:
        said.append(
            f"Drafts were {percent(found.short_share)} shorter than {found.gamma} tokens on "
            "average; what was not drafted counts as rejected, so later positions look worse."
        )
    if len(found.alphas) < found.gamma:
        said.append(
            f"No draft got past position {len(found.alphas)}: longer drafts are wasted here."
        )
    return said
