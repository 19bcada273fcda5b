"""``moesim validate routing``: sampled routes against measured overlaps and unions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Draw routes from the archetypes as runs do (routing=sampled) and hold what
consecutive tokens share against what was measured on the models; then hold the
overlap law against those routes, over decode and verify steps and prompts."""

EXAMPLES = ("validate routing", "validate routing model=glm_5")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to compare."""

    model: tuple[str, ...] = field(
        default=(), metadata={"help": "models (default: all with published figures)"}
    )
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Draw and compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.routing import print_routing  # noqa: PLC0415
    from simulator.study.routing.published import published_models  # noqa: PLC0415
    from simulator.study.routing.validate import summary, validate_routing  # noqa: PLC0415

    with progress(len(settings.model or published_models()), "drawing routes") as bar:
        found = validate_routing(settings.model, bar.advance)
    finish(
        folder,
        summary(found),
        lambda console: print_routing(found, console),
        {},
        as_json=settings.json,
    )
