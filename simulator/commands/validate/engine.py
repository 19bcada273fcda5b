"""``moesim validate engine``: observe, calibrate, replay, compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PURPOSE = """\
Take measurements of a real engine, calibrate an engine profile on some of them,
predict the others, replay its runs request by request, and compare.

data=DIR holds
  models.yaml   shapes of models and draft model, limits of the engine
  steps.csv     model, gamma, batch, step_ms; where known target_ms, draft_ms,
                active_experts, spread (largest over smallest time between
                runs), role (calibrate: fitted; check: predicted)
  requests.csv  run, model, gamma, alpha, arrival_s, prompt_tokens,
                output_tokens, first_token_s, finish_s

The fitted bandwidth and compute fractions are shares of the peaks of the
hardware. For a machine without a specification nominal peaks of two x86 cores
with AMX are assumed; the fractions make up for it."""

EXAMPLES = (
    "validate engine data=measurements",
    "validate engine data=measurements hardware=h100_sxm base=vllm_async",
    "validate engine data=others profile=runs/x/engine.yaml",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to validate, and on what."""

    data: str | None = field(default=None, metadata={"help": "folder of the measurements"})
    hardware: str | None = field(
        default=None,
        metadata={"help": "GPU by name, or specification by path (default: nominal x86 cores)"},
    )
    profile: str | None = field(
        default=None,
        metadata={"help": "engine profile calibrated before: nothing is fitted, all predicted"},
    )
    base: str = field(
        default="vllm", metadata={"help": "engine profile that holds where nothing is measured"}
    )
    eager: bool | None = field(
        default=None,
        metadata={"help": "kernels are launched one by one (default: if models.yaml says eager)"},
    )
    picture: bool = field(default=True, metadata={"help": "draw measured against simulated"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Calibrate, replay and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.costs.engine import load_engine  # noqa: PLC0415
    from simulator.errors import ConfigError  # noqa: PLC0415
    from simulator.report.engine import next_commands, print_validation  # noqa: PLC0415
    from simulator.report.engine_plots import plot_replays, plot_steps  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.engines.bench import copy_machine, launched_one_by_one  # noqa: PLC0415
    from simulator.study.engines.profile import profile, write_profile  # noqa: PLC0415
    from simulator.study.engines.validate import (  # noqa: PLC0415
        read_folder,
        summary,
        validate_engine,
        work_of,
    )

    if not settings.data:
        raise ConfigError("data is missing; give the folder of the measurements: data=DIR.")
    observed = read_folder(Path(settings.data))
    files: dict[str, Path] = {}
    gpu = settings.hardware
    if gpu is None:
        files["machine"] = copy_machine(folder / "gpu.yaml")
        gpu = str(files["machine"])
    eager = settings.eager
    if eager is None:
        eager = launched_one_by_one(gpu, observed.measured.remarks.get("engine", ""))
    base, fit = load_engine(settings.profile or settings.base), settings.profile is None
    with progress(work_of(observed, fit=fit), "calibrating and replaying") as bar:
        found = validate_engine(observed, gpu, base, eager=eager, fit=fit, advance=bar.advance)
    used = settings.profile or str(folder / "engine.yaml")
    if found.calibration is not None:
        title = f"calibrated on {observed.path.name}, after {base.title}"
        content = profile(found.calibration.fit, base, observed.path / "steps.csv", title)
        files["profile"] = write_profile(Path(used), content)

    def show(console: Console) -> None:
        print_validation(found, console)
        console.print(next_commands(used, str(gpu)), soft_wrap=True, markup=False)

    pictures = {
        "steps.png": lambda file: plot_steps(found.predicted, file),
        "replay.png": lambda file: plot_replays(found.replays, file),
    }
    finish(
        folder,
        summary(found),
        show,
        pictures if settings.picture else {},
        files=files,
        as_json=settings.json,
    )
