"""``moesim validate fidelity``: where closed forms, drawn loads and events of dispatch agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Run small deployments with every dispatch, expert computation and combine as an
event, and compare their steps with what drawn loads and closed forms say of
the same steps: on even routing, with popular experts, in two overlapping
batches, and beside transfers on the same links. Takes half a minute."""

EXAMPLES = ("validate fidelity", "validate fidelity case=skewed,overlap gamma=3")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to compare."""

    case: tuple[str, ...] = field(default=(), metadata={"help": "cases (default: all)"})
    gamma: int = field(default=0, metadata={"help": "draft length; 0 decodes plainly"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Run the cases and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.fidelity import print_fidelity  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.fidelity import chosen, compare, summary  # noqa: PLC0415

    cases = chosen(settings.case)
    with progress(len(cases), "following every dispatch") as bar:
        found = compare(cases, settings.gamma, bar.advance)
    finish(
        folder,
        summary(found),
        lambda console: print_fidelity(found, console),
        {},
        as_json=settings.json,
    )
