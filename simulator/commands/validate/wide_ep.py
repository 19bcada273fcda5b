"""``moesim validate wide_ep``: wide expert parallelism, and what it makes of speculation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Model DeepSeek-V3 decoding on 72 H100 and on 144 H800, and compare with the
throughput that was publicly reported, part by part; then speculation with MTP
as expert parallelism grows. Takes half a minute."""

EXAMPLES = ("validate wide_ep", "validate wide_ep gamma=2 expert_parallel=8,72,144")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to study, and what to make of it."""

    expert_parallel: tuple[int, ...] = field(
        default=(8, 16, 32, 72, 144), metadata={"help": "GPUs of the curves; divisors of 288"}
    )
    batches: tuple[int, ...] = field(
        default=(1, 2, 4, 8, 16, 32, 64, 128, 256), metadata={"help": "requests of a GPU"}
    )
    gamma: int = field(default=1, metadata={"help": "tokens that MTP drafts a round"})
    alpha: float = field(default=0.85, metadata={"help": "acceptance rate (assumed)"})
    context_tokens: int = field(default=2000, metadata={"help": "cache length of a request"})
    picture: bool = field(default=True, metadata={"help": "draw the curves and the steps"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Model the deployments and the sizes, and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.wide_ep import print_wide_ep  # noqa: PLC0415
    from simulator.report.wide_ep_plots import plot_parts, plot_speculation  # noqa: PLC0415
    from simulator.study.wide_ep.validate import (  # noqa: PLC0415
        Plan,
        steps,
        summary,
        validate_wide_ep,
    )

    plan = Plan(
        expert_parallel=settings.expert_parallel,
        batches=settings.batches,
        gamma=settings.gamma,
        alpha=settings.alpha,
        context_tokens=settings.context_tokens,
    )
    with progress(steps(plan), "modelling wide expert parallelism") as bar:
        found = validate_wide_ep(plan, bar.advance)
    pictures = {
        "speculation.png": lambda file: plot_speculation(found, file),
        "steps.png": lambda file: plot_parts(found, file),
    }
    finish(
        folder,
        summary(found),
        lambda console: print_wide_ep(found, console),
        pictures if settings.picture else {},
        as_json=settings.json,
    )
