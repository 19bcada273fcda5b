"""What a page is made of: sections of paragraphs, lists, tables, charts and commands to copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulator.report.html.chart import Chart

GOOD, BAD, NEUTRAL = "good", "bad", "neutral"
"""Tones of a verdict or a cell; never the only sign of what they say."""


def tone_of(ratio: Mapping[str, Any] | None) -> str:
    """Return the tone of a ratio that is better above 1, if its interval decides.

    Examples
    --------
    >>> tone_of({"low": 1.1, "high": 1.3}), tone_of({"low": 0.9, "high": 1.1}), tone_of(None)
    ('good', 'neutral', 'neutral')
    """
    if ratio is None or ratio["low"] is None or ratio["high"] is None:
        return NEUTRAL
    return GOOD if ratio["low"] > 1 else BAD if ratio["high"] < 1 else NEUTRAL


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences; a quiet one explains, and stands back."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Cell:
    """A field of a table.

    Parameters
    ----------
    text
        What stands there.
    right
        Whether it is set right, as numbers are.
    tone
        One of the tones above.
    """

    text: str
    right: bool = False
    tone: str = NEUTRAL


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; the last of a group is set apart from the next."""

    cells: Sequence[Cell]
    ends_group: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; it scrolls within its box where the page is narrower.

    Parameters
    ----------
    caption
        What it shows.
    headings, rows
        As many cells in each row as there are headings.
    """

    caption: str
    headings: Sequence[Cell]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names and what each is."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts that belong together, side by side where there is room."""

    charts: Sequence[Chart]


@dataclass(frozen=True, slots=True)
class Command:
    """Text to copy, such as a command, under a few words that say what it does."""

    label: str
    text: str


Block = Paragraph | Items | Table | Pairs | Charts | Command


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page under a heading of its own.

    Parameters
    ----------
    key, title
        Its anchor, and its heading.
    blocks
        What it shows.
    folded
        Whether a reader opens it first: what few need, and what is long.
    split
        Whether its first block has the others beside it where there is room.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    folded: bool = False
    split: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that a reader should see first.

    Parameters
    ----------
    label, value
        What it is, and its value as written.
    note
        What it is compared with, or its interval.
    tone
        One of the tones above.
    """

    label: str
    value: str
    note: str = ""
    tone: str = NEUTRAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report.

    Parameters
    ----------
    kind
        What it reports on, such as ``run``.
    title
        Its heading.
    facts
        What was asked, as pairs of a name and a text.
    verdict, tone
        The answer, and its tone.
    advice
        What follows from it, in a sentence or two.
    figures
        What a reader should see first.
    sections
        The evidence, ending with assumptions and provenance.
    """

    kind: str
    title: str
    facts: Sequence[tuple[str, str]]
    verdict: str
    tone: str = NEUTRAL
    advice: str = ""
    figures: Sequence[Figure] = field(default_factory=tuple)
    sections: Sequence[Section] = field(default_factory=tuple)

    @property
    def charts(self) -> list[Chart]:
        """All charts of the page, in order."""
        return [
            chart
            for section in self.sections
            for block in section.blocks
            if isinstance(block, Charts)
            for chart in block.charts
        ]


def section(
    key: str, title: str, *blocks: Block | None, folded: bool = False, split: bool = False
) -> Section | None:
    """Return a section of the blocks that are there; None where there is none."""
    there = [block for block in blocks if block is not None]
    return Section(key, title, there, folded, split) if there else None


def charts(found: Iterable[Chart | None]) -> Charts | None:
    """Return the charts that are there, as one block; None where there is none."""
    there = [chart for chart in found if chart is not None]
    return Charts(there) if there else None
