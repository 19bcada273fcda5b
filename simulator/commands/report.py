"""``moesim report``: a run, a sweep or a plan as one HTML file that needs no network."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from simulator.commands.words import RUN_FOLDER, help_text, read_words
from simulator.errors import ConfigError, unknown

PURPOSE = """\
One self-contained HTML page of a run, a sweep or a plan: verdict, tables,
charts, assumptions, and the command that asks again. It needs no network."""

EXAMPLES = (
    "report runs/2026-01-31/12-00-00-000000",
    "report runs/2026-01-31/12-00-00-000000 pictures=svg",
    "report sweeps/gamma-by-rate hydra.run.dir=public",
)

PAGE, PICTURES = "report.html", "report"
"""The page, and the folder of its pictures."""

_FORMATS = ("png", "svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to report.

    Parameters
    ----------
    folder
        Of the run, the sweep or the plan.
    pictures
        Format in which the charts are drawn besides, each into a file; null draws none.
    """

    folder: str = field(
        metadata={"bare": True, "help": "folder of moesim simulate, moesim sweep or moesim plan"}
    )
    pictures: str | None = field(
        default=None, metadata={"help": "draw the charts besides: png or svg"}
    )

    def __post_init__(self) -> None:
        if self.pictures is not None and self.pictures not in _FORMATS:
            raise ConfigError(unknown("format", self.pictures, _FORMATS, "pictures"))


def main(arguments: list[str]) -> int:
    """Write the page of a folder, and name the files.

    Returns
    -------
    int
        0.

    Raises
    ------
    SimulatorError
        If the folder holds nothing whole that can be reported, or a file cannot be written.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        sys.stdout.write(help_text("report", PURPOSE, Settings, EXAMPLES, "the folder itself"))
        return 0
    words = read_words(arguments, Settings, "report")
    source = Path(words.settings.folder)
    elsewhere = any(word.startswith(f"{RUN_FOLDER}=") for word in arguments)
    _report(source, words.folder if elsewhere else source, words.settings.pictures)
    return 0


def _report(source: Path, folder: Path, pictures: str | None) -> None:
    """Write the page of a source folder, and its pictures, into a folder."""
    # Slow to import, and `--help` does without.
    from simulator.commands.screen import screen  # noqa: PLC0415
    from simulator.report.html.page import page_of  # noqa: PLC0415
    from simulator.report.html.pictures import draw  # noqa: PLC0415
    from simulator.report.html.render import write_page  # noqa: PLC0415

    page = page_of(source)
    written = [write_page(page, folder / PAGE)]
    if pictures is not None:
        inner = folder / PICTURES
        written += [draw(chart, inner / f"{chart.key}.{pictures}") for chart in page.charts]
    console = screen()
    console.print(page.verdict, markup=False)
    for path in written:  # never wrapped: people copy them
        console.print(f"{path.stem}: {path}", soft_wrap=True, markup=False)
