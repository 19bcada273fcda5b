"""``moesim validate policies``: who chooses draft lengths best, in goodput."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Serve scenarios with every fixed draft length, with the batch-size schedule that
their step times lead to and with the cost-model optimum, on the same arrivals
and draws, and compare goodput. Takes some ten minutes; the scenario swinging
the most of them."""

EXAMPLES = ("validate policies", "validate policies scenario=swinging longest=3 replications=2")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to compare, and how often."""

    scenario: tuple[str, ...] = field(
        default=(), metadata={"help": "scenarios (default: all that are shipped)"}
    )
    longest: int = field(default=5, metadata={"help": "longest draft of all arms"})
    replications: int = field(default=5, metadata={"help": "independent repetitions"})
    requests: int | None = field(
        default=None, metadata={"help": "requests of each (default: the scenario's)"}
    )
    workers: int | None = field(
        default=None, metadata={"help": "processes (default: one per core)"}
    )
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Simulate and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.policies import print_policies  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.policies.compare import SHIPPED, compare, plan, summary  # noqa: PLC0415
    from simulator.study.silicon.validate import worker_count  # noqa: PLC0415

    workers = worker_count(settings.workers)
    overrides = [] if settings.requests is None else [f"run.requests={settings.requests}"]
    planned = plan(
        settings.scenario or SHIPPED,
        longest=settings.longest,
        replications=settings.replications,
        overrides=overrides,
    )
    with progress(sum(len(arms) for *_, arms in planned), "serving with every policy") as bar:
        found = compare(planned, workers=workers, advance=bar.advance)
    finish(
        folder,
        summary(found),
        lambda console: print_policies(found, console),
        {},
        as_json=settings.json,
    )
