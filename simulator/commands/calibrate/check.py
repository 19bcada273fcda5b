"""``moesim calibrate check``: what a measurement plan can determine, before anyone measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Say, before anything is measured, whether the measurements of a plan can
determine the unknowns: how many solutions are left, which unknowns they share,
which combinations no measurement notices, how well the plan will predict, and
the smallest extra measurement that settles it. A plan is a YAML file:

  knowledge: moesd             # or popularity, digits
  target: qwen2_57b_a14b
  gpu: a800_sxm
  gpus: 2
  measure:
    - {kind: speedup, gamma: [2, 4], batch: [1, 4, 8, 16, 32, 64, 100]}
    - {kind: ar_step_time, batch: [8, 20]}

Kinds: speedup, ar_step_time, verify_step_time, draft_step_time, reject_time."""

EXAMPLES = (
    "calibrate check plan=examples/plans/moesd_speedups.yaml",
    "calibrate check plan=examples/plans/popularity.yaml picture=true",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which plan, and what to make of it."""

    plan: str = field(metadata={"help": "the plan, a YAML file"})
    picture: bool = field(default=False, metadata={"help": "draw unknowns and measurements"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Check a plan."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.identify import plot_graph, print_check  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.identify.check import summary  # noqa: PLC0415
    from simulator.study.identify.check_plan import check_plan  # noqa: PLC0415

    with progress(1, "looking for other solutions") as bar:
        check = check_plan(settings.plan, bar.advance)
    finish(
        folder,
        summary(check),
        lambda console: print_check(check, console),
        {"graph.png": lambda file: plot_graph(check, file)} if settings.picture else {},
        as_json=settings.json,
    )
