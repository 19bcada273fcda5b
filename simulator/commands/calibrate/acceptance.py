"""``moesim calibrate acceptance``: acceptance rates from a vLLM metrics page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import ConfigError

PURPOSE = """\
Read the vllm:spec_decode_* counters of a vLLM server's metrics page and write how
much of its drafts was accepted, by position, with intervals, as settings that
moesim simulate takes. Save the page: curl http://HOST:8000/metrics > metrics.txt"""

EXAMPLES = (
    "calibrate acceptance metrics=metrics.txt",
    "calibrate acceptance metrics=after.txt before=before.txt model=Qwen/Qwen3-30B-A3B",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which page to read, and what of it."""

    metrics: str | None = field(default=None, metadata={"help": "the saved page"})
    before: str | None = field(
        default=None, metadata={"help": "a page saved earlier: take what happened since"}
    )
    model: str | None = field(
        default=None, metadata={"help": "model_name of the page (default: all, each apart)"}
    )
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        if self.metrics is None:
            raise ConfigError(
                "metrics=FILE is missing: a saved metrics page of a vLLM server "
                "(curl http://HOST:8000/metrics > metrics.txt)."
            )


def run(settings: Settings, folder: Path) -> None:
    """Read, write, and show what came out."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.acceptance import print_acceptance  # noqa: PLC0415
    from simulator.study.calibration.acceptance import (  # noqa: PLC0415
        by_model,
        metrics_of,
        read_acceptance,
    )
    from simulator.study.calibration.acceptance_profile import write_profile  # noqa: PLC0415

    page = settings.metrics or ""
    servers = read_acceptance(page, settings.before, settings.model)
    models = by_model(servers)
    since = f" since {settings.before}" if settings.before else ""
    source = f"moesim calibrate acceptance, vllm:spec_decode_* counters of {page}{since}"
    files: dict[str, Path] = {}
    for found in models.values():
        files |= write_profile(folder, found, source)
    finish(
        folder,
        {"metrics": metrics_of(models), "source": source, "models": list(models)},
        lambda console: print_acceptance(servers, models, folder, console),
        {},
        files=files,
        as_json=settings.json,
    )
