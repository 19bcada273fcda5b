"""``moesim calibrate kernels``: time kernels on this machine and make it a ``hardware=``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import ConfigError

PURPOSE = """\
Time kernels on this machine with PyTorch: dense products, routed experts, decode,
verify and prefill attention, copies, launches. Writes kernel tables and a GPU spec
that moesim simulate takes as hardware.gpu. Under three minutes on two cores; close
what else runs. Number of threads: PyTorch's own (OMP_NUM_THREADS=... sets it).
Needs: pip install 'moesim[measure]'. CUDA is untested."""

EXAMPLES = ("calibrate kernels", "calibrate kernels device=cuda hydra.run.dir=my_gpu")

_STANDARD_S, _QUICK_S = 110.0, 8.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to time, and for how long."""

    device: str = field(default="cpu", metadata={"help": "cpu or cuda"})
    seconds: float | None = field(
        default=None,
        metadata={"help": f"time to take, s (default: {_STANDARD_S:g}); slow shapes are left out"},
    )
    quick: bool = field(
        default=False, metadata={"help": "few small shapes, to see that everything runs"}
    )
    picture: bool = field(default=True, metadata={"help": "draw the line and the roofline"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        if self.seconds is not None and not 1 <= self.seconds <= 86_400:
            raise ConfigError(f"seconds={self.seconds!r} must lie in 1..86400.")


def run(settings: Settings, folder: Path) -> None:
    """Time, write, and show what came out."""
    # Slow to import, and `--help` does without.
    from datetime import date  # noqa: PLC0415

    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.kernels.microbench.figures import figures_of, metrics  # noqa: PLC0415
    from simulator.kernels.microbench.plan import QUICK, STANDARD, make_plan  # noqa: PLC0415
    from simulator.kernels.microbench.runner import run_plan  # noqa: PLC0415
    from simulator.kernels.microbench.torch_device import open_device  # noqa: PLC0415
    from simulator.kernels.microbench.writing import write_machine  # noqa: PLC0415
    from simulator.report.measure import plot_measured, print_measured  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415

    device = open_device(settings.device)
    plan = make_plan(QUICK if settings.quick else STANDARD, "bfloat16", device.machine.cache.value)
    budget_s = settings.seconds or (_QUICK_S if settings.quick else _STANDARD_S)
    with progress(plan.cells, "timing kernels") as bar:
        results = run_plan(plan, device, budget_s, bar.advance)
    figures = figures_of(results)
    files = write_machine(folder, device, results, figures, date.today())
    finish(
        folder,
        {
            "metrics": metrics(results, figures),
            "machine": device.machine.title,
            "setting": device.machine.setting,
            "cautions": device.machine.cautions,
            "skipped": [f"{cell.operator} {cell}" for cell in results.skipped],
        },
        lambda console: print_measured(
            device.machine, results, figures, files["gpu"], console, quick=settings.quick
        ),
        {"kernels.png": lambda file: plot_measured(results, figures, file)}
        if settings.picture
        else {},
        files=files,
        as_json=settings.json,
    )
