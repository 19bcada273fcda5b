"""``moesim validate moesd``: MoESD's figures, fitted as it does and simulated bottom-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PURPOSE = """\
Reproduce MoESD (arXiv 2505.19645) and say how far off every curve is: the fit
of its own model, active experts, and, from kernel tables and an engine profile
calibrated on a few published figures, speedup and target efficiency against
batch and sparsity, simulated event by event. Takes about a minute."""

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
    """Fit, calibrate, simulate and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report import moesd_activation as activation_report  # noqa: PLC0415
    from simulator.report import moesd_fit as fit_report  # noqa: PLC0415
    from simulator.report import moesd_plots as plots  # noqa: PLC0415
    from simulator.report.moesd import print_moesd  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.moesd import validate as study  # noqa: PLC0415
    from simulator.study.moesd.activation import activation_curves  # noqa: PLC0415
    from simulator.study.moesd.fit import fit_published, fit_steps  # noqa: PLC0415
    from simulator.study.moesd.profiles import save_profiles  # noqa: PLC0415
    from simulator.study.silicon.validate import worker_count  # noqa: PLC0415

    workers = worker_count(settings.workers)
    prepared = study.prepare(settings.batch or None)
    with progress(prepared.runs, "simulating MoESD's cells") as bar:
        validation = study.validate_moesd(prepared, workers=workers, advance=bar.advance)
    with progress(fit_steps(), "fitting MoESD's own model") as bar:
        fitted = fit_published(bar.advance)
    activation, found = activation_curves(), validation.found

    def show(console: Console) -> None:
        fit_report.print_fit_study(fitted, console)
        activation_report.print_activation_study(activation, console)
        print_moesd(validation, console)

    pictures = {
        "speedups.png": lambda file: plots.plot_speedups(found, file),
        "target_efficiency.png": lambda file: plots.plot_efficiency(found, file),
        "sparsity.png": lambda file: plots.plot_sparsity(found, file),
        "fit.png": lambda file: fit_report.plot_fit_study(fitted, file),
        "activation.png": lambda file: activation_report.plot_activation_study(activation, file),
    }
    finish(
        folder,
        study.summary(validation, fitted, activation),
        show,
        pictures if settings.picture else {},
        files={
            "cells": study.save_cells(validation, folder / "cells.csv"),
            **save_profiles(prepared, folder),
        },
        as_json=settings.json,
    )
