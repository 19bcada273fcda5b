"""``moesim workload describe``: what a trace, a preset or a mix looks like."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import ConfigError

PURPOSE = """\
Describe a workload: its rate and how it scatters, lengths, correlations, how much
prompts repeat each other under caches of several sizes, hours of the day, clients.
WHAT is a trace file, a preset (moesim list workloads), the YAML file of one, or an
option of the config group workload."""

EXAMPLES = (
    "workload describe chat",
    "workload describe AzureLLMInferenceTrace_code.csv",
    "workload describe conversation_trace.jsonl cache_tokens=500000",
    "workload describe mine.csv.gz workload.window_s=[0,3600] workload.on_bad_row=skip",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to describe, and how."""

    what: str | None = field(default=None, metadata={"help": "the workload", "bare": True})
    workload: tuple[str, ...] = field(
        default=(), metadata={"help": "as for moesim simulate", "prefix": "workload."}
    )
    requests: int | None = field(
        default=None, metadata={"help": "most requests (default: a trace whole, 20000 of others)"}
    )
    cache_tokens: tuple[int, ...] = field(
        default=(100_000, 300_000, 1_000_000, 3_000_000, 10_000_000),
        metadata={"help": "sizes of the finite prefix caches, tokens"},
    )
    seed: int = field(default=0, metadata={"help": "of what is drawn"})
    picture: bool = field(default=True, metadata={"help": "draw it"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        if self.what is None:
            raise ConfigError("say what to describe: a trace file or a preset.")
        if self.requests is not None and self.requests < 1:
            raise ConfigError(f"requests={self.requests} leaves nothing; ask for at least 1.")
        if any(size < 1 for size in self.cache_tokens):
            raise ConfigError(f"cache_tokens={list(self.cache_tokens)} must each be positive.")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} is negative; take 0 or more.")


def run(settings: Settings, folder: Path) -> None:
    """Describe a workload."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.commands.workload.source import open_source  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.workload import print_description  # noqa: PLC0415
    from simulator.report.workload_plots import plot_workload  # noqa: PLC0415
    from simulator.streams import Streams  # noqa: PLC0415
    from simulator.study.workloads.describe import describe  # noqa: PLC0415
    from simulator.study.workloads.figures import curves, metrics, write_curves  # noqa: PLC0415

    name = settings.what or ""
    workload = open_source(name, settings.requests, list(settings.workload), "workload describe")
    with progress(workload.requests, "reading") as bar:
        found = describe(workload, Streams(settings.seed), settings.cache_tokens, bar.advance)
    drawn = curves(found)
    summary = {
        "workload": found.title,
        "metrics": metrics(found),
        "assumptions": list(found.assumptions),
    }
    finish(
        folder,
        summary,
        lambda console: print_description(found, console),
        {"workload.png": lambda file: plot_workload(drawn, file)} if settings.picture else {},
        files={"figures": write_curves(drawn, folder / "figures.parquet", found.title)},
        as_json=settings.json,
    )
