"""How much of a run a timeline holds: a window, cut at a moment where the events grow too many.

One pass over times and counts of events per row finds the moment, so that everything up to it is
there and nothing beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import ConfigError

Floats = np.ndarray[Any, np.dtype[np.float64]]

Counts = Iterable[tuple[Floats, Floats, Floats]]
"""Start and end of each row, s, and how many events it makes; each of shape ``[rows]``."""

_BINS = 4096
_ZOOMS = 4
"""How often the first bin is looked at more closely, if it alone holds too much."""


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A stretch of a run.

    Parameters
    ----------
    from_s, to_s
        Its bounds, s of simulated time.
    """

    from_s: float
    to_s: float

    def overlaps(self, start_s: Floats, end_s: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Tell which stretches of time have a part in the window."""
        found: np.ndarray[Any, np.dtype[np.bool_]] = (start_s < self.to_s) & (end_s >= self.from_s)
        return found

    def clip(self, times_s: Floats) -> Floats:
        """Move what lies outside to the nearer bound."""
        return np.clip(times_s, self.from_s, self.to_s)


def cut(window: TimeWindow, counts: Callable[[], Counts], max_events: int) -> TimeWindow:
    """Return the longest stretch, from the beginning of a window, of not too many events.

    To within a 4096th of the window.

    Parameters
    ----------
    window
        What is wanted.
    counts
        Goes through the rows that overlap a window; called anew for every pass.
    max_events
        The bound.

    Raises
    ------
    ConfigError
        If more events than that come at once, at the very beginning.

    Examples
    --------
    >>> rows = np.arange(10.0), np.arange(1.0, 11.0), np.full(10, 4.0)
    >>> cut(TimeWindow(0.0, 10.0), lambda: [rows], max_events=20).to_s
    5.0
    """
    end_s = window.to_s
    for _ in range(_ZOOMS):
        edges_s = np.linspace(window.from_s, end_s, _BINS + 1)
        made = np.zeros(_BINS)
        for start_s, stop_s, events in counts():
            kept = TimeWindow(window.from_s, end_s).overlaps(start_s, stop_s)
            begun_s = np.maximum(start_s[kept], window.from_s)
            made += np.histogram(begun_s, edges_s, weights=events[kept])[0]
        fits = int(np.searchsorted(made.cumsum(), max_events, side="right"))
        if fits:
            return TimeWindow(window.from_s, float(edges_s[fits]))
        end_s = float(edges_s[1])
    raise ConfigError(
        f"more than max_events={max_events} come at once at {window.from_s:g} s; raise max_events, "
        "take one arm, or begin later with from_s."
    )
