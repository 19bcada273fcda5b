"""``moesim calibrate engine``: an engine profile from a few measured step times."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from simulator.costs.engine import Engine
    from simulator.study.engines.times import Bench

PURPOSE = """\
Fit an engine profile to measured step times, on top of the bottom-up cost model:
host overheads, the shares of bandwidth and compute that kernels reach, and how
much routing overlaps. What the rows do not determine stays as it was, and you
are told what to measure.

data=FILE is a CSV with the columns batch, gamma (or query_tokens), and step_s,
step_ms or step_us. Where known: target_ms (forward pass of the target), draft_ms
(all draft passes), sample_ms, active_experts, context_tokens, spread (largest
over smallest time between runs), model, and role (calibrate: fitted; check:
predicted only). Seven rows are enough: plain steps at batch 1, 4, 16 and 64, and
rounds at 1, 8 and 32."""

EXAMPLES = (
    "calibrate engine data=steps.csv model=mixtral_8x7b hardware=h100_sxm",
    "calibrate engine data=steps.csv model=models.yaml hardware=mine/gpu.yaml",
    "simulate hardware=h100_sxm hardware.engine=runs/x/engine.yaml",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was measured, and on what."""

    data: str | None = field(default=None, metadata={"help": "CSV file of measured steps"})
    model: str | None = field(
        default=None,
        metadata={"help": "model by name, or models.yaml as validate engine takes it, by path"},
    )
    hardware: str | None = field(
        default=None,
        metadata={"help": "hardware by name, or a GPU specification by path"},
    )
    tensor_parallel: int | None = field(
        default=None, metadata={"help": "GPUs that share the heads (default: as simulate)"}
    )
    drafter: str | None = field(default=None, metadata={"help": "drafter (default: the usual one)"})
    context_tokens: float = field(
        default=128.0, metadata={"help": "mean cache length of rows that state none"}
    )
    base: str = field(
        default="vllm", metadata={"help": "engine profile that holds where nothing is measured"}
    )
    eager: bool | None = field(
        default=None,
        metadata={"help": "kernels are launched one by one (default: if hardware has no tables)"},
    )
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Fit the profile and write it."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.costs.engine import load_engine  # noqa: PLC0415
    from simulator.errors import ConfigError  # noqa: PLC0415
    from simulator.report.engine import metrics_of, next_commands, print_calibration  # noqa: PLC0415
    from simulator.report.engine_plots import plot_steps  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.engines.bench import copy_machine, launched_one_by_one  # noqa: PLC0415
    from simulator.study.engines.calibration import calibrate, figures  # noqa: PLC0415
    from simulator.study.engines.checks import check_enough, check_rows  # noqa: PLC0415
    from simulator.study.engines.profile import profile, write_profile  # noqa: PLC0415
    from simulator.study.engines.step_rows import read_steps  # noqa: PLC0415

    if not settings.data or not settings.model:
        raise ConfigError("data and model are needed: data=steps.csv model=NAME hardware=NAME.")
    data, files = Path(settings.data), dict[str, Path]()
    rows, base = read_steps(data), load_engine(settings.base)
    hardware = settings.hardware
    if hardware is None and settings.model.endswith(".yaml"):
        files["machine"] = copy_machine(folder / "gpu.yaml")
        hardware = str(files["machine"])
    if hardware is None:
        raise ConfigError("hardware is missing; name what was measured on: hardware=NAME.")
    bench = _bench(settings, hardware, base)
    check_rows(data, rows, bench, base)
    fitted = [row for row in rows if row.role == "calibrate"]
    check_enough(data, fitted)
    eager = launched_one_by_one(hardware) if settings.eager is None else settings.eager
    with progress(1 + len(fitted), "fitting, and leaving rows out") as bar:
        found = calibrate(rows, bench, base, eager=eager, advance=bar.advance)
    title = f"calibrated on {data.name}, after {base.title}"
    target = folder / "engine.yaml"
    files["profile"] = write_profile(target, profile(found.fit, base, data, title))

    def show(console: Console) -> None:
        print_calibration(found, console)
        console.print(next_commands(str(target), hardware), soft_wrap=True, markup=False)

    finish(
        folder,
        {"metrics": metrics_of(found), **figures(found)},
        show,
        {"steps.png": lambda file: plot_steps(found.predicted, file)},
        files=files,
        as_json=settings.json,
    )


def _bench(settings: Settings, hardware: str, base: Engine) -> Bench:
    """Return the cost model of what was measured."""
    from simulator.compose import compose  # noqa: PLC0415
    from simulator.quantities import names_a_file  # noqa: PLC0415
    from simulator.scenario import build  # noqa: PLC0415
    from simulator.study.engines.bench import bench_of  # noqa: PLC0415
    from simulator.study.engines.models import read_models  # noqa: PLC0415
    from simulator.study.engines.times import Bench  # noqa: PLC0415

    model = str(settings.model)
    if names_a_file(model):
        return bench_of(read_models(Path(model)), hardware, base)
    by_path = names_a_file(hardware)
    _known("model", model)
    if not by_path:
        _known("hardware", hardware)
    words = [f"model={model}", f"hardware.gpu={hardware}" if by_path else f"hardware={hardware}"]
    if settings.tensor_parallel is not None:
        words.append(f"hardware.tensor_parallel={settings.tensor_parallel}")
    if settings.drafter is not None:
        words.append(f"speculation.drafter={settings.drafter}")
    scenario = build(compose(words), base)
    return Bench({model: scenario.step_model}, settings.context_tokens)


def _known(group: str, name: str) -> None:
    """Refuse a name that the configuration group does not have."""
    from simulator.commands.settings import group_options  # noqa: PLC0415
    from simulator.errors import ConfigError, unknown  # noqa: PLC0415

    options = group_options(group)
    if name not in options:
        raise ConfigError(unknown(group, name, options))
