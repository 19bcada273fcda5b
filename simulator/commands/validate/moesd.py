"""``moesim validate moesd``: MoESD's figures, fitted as it does and simulated bottom-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Reproduce MoESD (arXiv 2505.19645): speedup and target efficiency against batch
of Qwen2-57B-A14B and OPT-30B on two A800, simulated event by event with an
engine profile calibrated on a few of the published figures, and the study of
sparsity. Says how far off every curve is. Under a minute."""

EXAMPLES = ("validate moesd", "validate moesd batch=1,8,60 picture=false")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to reproduce, and what to make of it."""

    batch: tuple[int, ...] = field(
        default=(), metadata={"help": "simulate these batches alone (default: all 19)"}
    )
    workers: int | None = field(
        default=None, metadata={"help": "processes (default: one per core)"}
    )
    picture: bool = field(default=True, metadata={"help": "draw the curves"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Calibrate, simulate and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.moesd import print_moesd  # noqa: PLC0415
    from simulator.report.moesd_plots import (  # noqa: PLC0415
        plot_efficiency,
        plot_sparsity,
        plot_speedups,
    )
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.validate_moesd import (  # noqa: PLC0415
        prepare,
        save_cells,
        summary,
        validate_moesd,
    )
    from simulator.study.validate_silicon import worker_count  # noqa: PLC0415

    workers = worker_count(settings.workers)
    prepared = prepare(settings.batch or None)
    with progress(prepared.runs, "simulating MoESD's cells") as bar:
        validation = validate_moesd(prepared, workers=workers, advance=bar.advance)
    pictures = {
        "speedups.png": lambda file: plot_speedups(validation.found, file),
        "target_efficiency.png": lambda file: plot_efficiency(validation.found, file),
        "sparsity.png": lambda file: plot_sparsity(validation.found, file),
    }
    finish(
        folder,
        summary(validation),
        lambda console: print_moesd(validation, console),
        pictures if settings.picture else {},
        files={"cells": save_cells(validation, folder / "cells.csv")},
        as_json=settings.json,
    )
