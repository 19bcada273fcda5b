"""Tables of the terminal as tables of a page: the same rows, the same figures."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table as TerminalTable
from rich.text import Text

from simulator.report.html.blocks import BAD, GOOD, NEUTRAL, Cell, Row, Table

_TONES = {"green": GOOD, "red": BAD}


def table_of(terminal: TerminalTable, caption: str) -> Table:
    """Return a table of the terminal as a table of a page.

    Parameters
    ----------
    terminal
        Of plain texts and `rich.text.Text`.
    caption
        What it shows.

    Examples
    --------
    >>> from simulator.report.tables import frame
    >>> table = frame("model", "error>")
    >>> table.add_row("dense", Text("9 %", style="red"))
    >>> [(cell.text, cell.right, cell.tone) for cell in table_of(table, "").rows[0].cells]
    [('dense', False, 'neutral'), ('9 %', True, 'bad')]
    """
    right = [column.justify == "right" for column in terminal.columns]
    columns = [list(column.cells) for column in terminal.columns]
    rows = zip(*columns, strict=True)
    return Table(
        caption,
        [_cell(column.header, at) for column, at in zip(terminal.columns, right, strict=True)],
        [
            Row([_cell(cell, at) for cell, at in zip(cells, right, strict=True)], row.end_section)
            for cells, row in zip(rows, terminal.rows, strict=True)
        ],
    )


def plain_table(caption: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """Return a table of texts; a heading that ends in ``>`` sets its column right."""
    headings = list(headings)
    right = [heading.endswith(">") for heading in headings]
    return Table(
        caption,
        [Cell(h.removesuffix(">"), at) for h, at in zip(headings, right, strict=True)],
        [Row([Cell(text, at) for text, at in zip(row, right, strict=True)]) for row in rows],
    )


def _cell(content: object, right: bool) -> Cell:
    tone = _TONES.get(str(content.style), NEUTRAL) if isinstance(content, Text) else NEUTRAL
    return Cell(str(content), right, tone)
