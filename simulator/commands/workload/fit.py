"""``moesim workload fit``: a preset fitted to a trace, judged on a held-out half."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import ConfigError

PURPOSE = """\
Fit a preset to a trace and write it as YAML for workload.preset=FILE: lengths as
lognormal mixtures (expectation-maximisation, number of components by BIC), arrivals
as Poisson with a fluctuating rate (moments of counts in windows). Says how closely
recordings drawn from it resemble the trace, and what the same fit of the first half
says of the second. A minute or so."""

EXAMPLES = (
    "workload fit AzureLLMInferenceTrace_conv.csv",
    "workload fit mine.csv name=mine like=code",
    "simulate workload.preset=runs/.../mine.yaml",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to fit to, and how."""

    file: str | None = field(default=None, metadata={"help": "the trace", "bare": True})
    workload: tuple[str, ...] = field(
        default=(), metadata={"help": "as for moesim simulate", "prefix": "workload."}
    )
    name: str | None = field(
        default=None, metadata={"help": "of the preset (default: that of the file)"}
    )
    like: str = field(
        default="chat", metadata={"help": "preset whose SLO class and acceptance it takes"}
    )
    requests: int | None = field(
        default=None, metadata={"help": "fit to the first so many requests (default: all)"}
    )
    max_components: int = field(
        default=16, metadata={"help": "most lognormals in a law of lengths"}
    )
    recordings: int = field(
        default=100,
        metadata={"help": "most recordings drawn to judge by; fewer of long traces"},
    )
    seed: int = field(default=0, metadata={"help": "of what is drawn"})
    picture: bool = field(default=True, metadata={"help": "draw it"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        if self.file is None:
            raise ConfigError("say what to fit to: a trace file.")
        for key in ("requests", "max_components", "recordings"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"{key}={value} leaves nothing to do; set it to 1 or more.")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} is negative; take 0 or more.")
        if self.name is not None and not re.fullmatch(r"[\w-]+", self.name):
            raise ConfigError(f"name={self.name!r} must be letters, digits, _ and - alone.")


def run(settings: Settings, folder: Path) -> None:
    """Fit a preset."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.commands.workload.source import open_source  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.workload_fit import plot_fit, print_fit  # noqa: PLC0415
    from simulator.study.workloads.fit import (  # noqa: PLC0415
        affordable,
        fit_workload,
        steps,
        summary,
    )
    from simulator.study.workloads.fitted_preset import (  # noqa: PLC0415
        fitted_preset,
        write_preset,
    )
    from simulator.workload.presets import read_preset  # noqa: PLC0415

    trace = settings.file or ""
    name = settings.name or re.sub(r"\W+", "_", Path(trace).name.partition(".")[0])
    read_preset(settings.like)  # a name that is wrong is wrong before the work, not after
    workload = open_source(trace, settings.requests, list(settings.workload), "workload fit")
    recordings = affordable(settings.recordings, workload.requests)
    with progress(steps(recordings), "fitting") as bar:
        fit = fit_workload(
            workload,
            max_components=settings.max_components,
            recordings=recordings,
            seed=settings.seed,
            advance=bar.advance,
        )
    preset = fitted_preset(fit, name, Path(trace).name, settings.like)
    file = write_preset(preset, folder / f"{name}.yaml")
    finish(
        folder,
        summary(fit),
        lambda console: print_fit(fit, file, console),
        {"fit.png": lambda picture: plot_fit(fit, picture)} if settings.picture else {},
        files={f"workload.preset={name}": file},
        as_json=settings.json,
    )
