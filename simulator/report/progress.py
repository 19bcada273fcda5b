"""A progress bar for people who wait, and silence for everything else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PATIENCE_S = 2.0
"""Shorter jobs show no bar."""


class Bar:
    """Counts work done; draws only on a terminal and once the wait is felt.

    Parameters
    ----------
    total
        Units of work; None where nobody knows how many there will be.
    description
        What is being done, a verb form.
    console
        Where to draw.
    clock
        Seconds from any origin.
    """

    def __init__(
        self, total: float | None, description: str, console: Console, clock: Callable[[], float]
    ) -> None:
        self.done = 0.0
        self._total = total
        self._description = description
        self._console = console
        self._clock = clock
        self._started_s = clock()
        self._display: Progress | None = None

    def advance(self, n: float = 1) -> None:
        """Count ``n`` units as done."""
        self.done += n
        if self._display is None:
            waited = self._clock() - self._started_s >= PATIENCE_S
            over = self._total is not None and self.done >= self._total
            if not (waited and self._console.is_terminal) or over:
                return
            self._display = self._draw()
        self._display.update(self._display.task_ids[0], completed=self.done)

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self._display is not None:
            self._display.stop()

    def _draw(self) -> Progress:
        known = (MofNCompleteColumn(), TimeRemainingColumn())
        unknown = (TextColumn("{task.completed:,.0f} done"), TimeElapsedColumn())
        columns = (TextColumn("{task.description}"), BarColumn())
        counts = unknown if self._total is None else known
        display = Progress(*columns, *counts, console=self._console, transient=True)
        display.add_task(self._description, total=self._total)
        display.start()
        return display


@contextmanager
def progress(
    total: float | None,
    description: str,
    *,
    console: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Bar]:
    """Show progress on standard error, if it is a terminal and the work takes over two seconds.

    Parameters
    ----------
    total
        Units of work, None where nobody knows how many there will be; report them with
        ``advance(n)`` of what this yields.
    description
        What is being done, a verb form.
    console
        Where to draw; standard error by default.
    clock
        Seconds from any origin.

    Examples
    --------
    >>> with progress(3, "counting") as bar:
    ...     for _ in range(3):
    ...         bar.advance(1)
    >>> bar.done
    3.0
    """
    bar = Bar(total, description, console or Console(stderr=True), clock)
    try:
        yield bar
    finally:
        bar.close()
