"""What tables of results share: their frame, and how they and the words under them are printed."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_TIGHT, _LOOSE = (0, 1, 0, 0), (0, 1, 0, 1)
"""Cells of padding above, right, below and left of a field."""


def frame(
    *headings: str,
    title: str | None = None,
    tight: bool = False,
    least_width: int | None = None,
    unbroken: int = 0,
) -> Table:
    """Return an empty table.

    Parameters
    ----------
    headings
        Of the columns; one that ends in ``>`` is set right, as numbers are.
    title
        Above the table, left.
    tight
        Whether columns stand one character apart, not two.
    least_width
        Of a column, characters.
    unbroken
        How many columns, from the left, stay on one line.

    Examples
    --------
    >>> [(column.header, column.justify) for column in frame("model", "error>").columns]
    [('model', 'left'), ('error', 'right')]
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        safe_box=True,
        padding=_TIGHT if tight else _LOOSE,
        title=title,
        title_justify="left",
    )
    for index, heading in enumerate(headings):
        table.add_column(
            heading.rstrip(">"),
            justify="right" if heading.endswith(">") else "left",
            min_width=least_width,
            no_wrap=index < unbroken,
        )
    return table


def show(console: Console, title: str, table: Table) -> None:
    """Print a table under its title."""
    console.print(Text(title, style="bold"))
    console.print(table)


def say(console: Console, *sentences: str) -> None:
    """Print sentences, one a line, and an empty line."""
    for sentence in sentences:
        console.print(Text(sentence))
    console.print()
