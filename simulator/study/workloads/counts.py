"""How arrivals scatter: their number in windows of time, and the gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

WINDOWS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Windows in which arrivals are counted, s."""

FEWEST_WINDOWS = 5
"""Fewer complete windows say nothing about a variance (kind: assumed)."""


@dataclass(slots=True)
class WindowCount:
    """Counts of arrivals in consecutive windows of one length, the last incomplete one left out.

    The moments are those of a population (divided by n), as in the published figures of traces.

    Parameters
    ----------
    window_s
        Length of a window, s; the first begins at time 0.

    Examples
    --------
    >>> counts = WindowCount(1.0)
    >>> counts.add(np.array([0.0, 0.5, 1.2, 3.9]))
    >>> counts.windows, counts.mean, counts.cv2 is None
    (3, 1.0, True)
    """

    window_s: float
    windows: int = 0
    """Complete windows so far."""
    _open: int = 0
    """Arrivals in the window that is not complete."""
    _sum: int = 0
    _squares: int = 0

    def add(self, times_s: NDArray[np.float64]) -> None:
        """Count arrivals, s, nondecreasing, not before those counted already."""
        if not times_s.size:
            return
        at = np.floor_divide(times_s, self.window_s).astype(np.int64)
        ends = np.append(np.flatnonzero(at[1:] != at[:-1]) + 1, at.size)
        counts = np.diff(ends, prepend=0)
        if at[0] == self.windows:
            counts[0] += self._open
        else:
            self._close(np.array([self._open]))
        self._close(counts[:-1])
        self.windows, self._open = int(at[-1]), int(counts[-1])

    def _close(self, counts: NDArray[np.int64]) -> None:
        self._sum += int(counts.sum())
        self._squares += int((counts**2).sum())

    @property
    def mean(self) -> float:
        """Mean count."""
        return self._sum / self.windows

    @property
    def cv2(self) -> float | None:
        """Squared coefficient of variation; None of too few windows, or of empty ones."""
        if self.windows < FEWEST_WINDOWS or not self._sum:
            return None
        return max(self._squares / self.windows / self.mean**2 - 1, 0.0)

    @property
    def fano(self) -> float | None:
        """Variance over mean (Fano factor, index of dispersion of counts), 1 for Poisson."""
        cv2 = self.cv2
        return None if cv2 is None else cv2 * self.mean


@dataclass(slots=True)
class Arrivals:
    """Counts in all windows, the gaps, and the span.

    Parameters
    ----------
    windows_s
        Lengths of the windows, s.
    """

    windows_s: Sequence[float] = WINDOWS_S
    requests: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    together: int = 0
    """Requests that came at the very time of the one before."""
    counts: list[WindowCount] = field(init=False)
    _squared_gaps_s2: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [WindowCount(window_s) for window_s in self.windows_s]

    def add(self, arrival_s: NDArray[np.float64]) -> None:
        """Count arrivals, s, nondecreasing."""
        if not arrival_s.size:
            return
        if not self.requests:
            self.first_s = self.last_s = float(arrival_s[0])
            gaps_s = np.diff(arrival_s)
        else:
            gaps_s = np.diff(arrival_s, prepend=self.last_s)
        self.requests += arrival_s.size
        self.last_s = float(arrival_s[-1])
        self.together += int((gaps_s == 0).sum())
        self._squared_gaps_s2 += float((gaps_s**2).sum())
        for count in self.counts:
            count.add(arrival_s - self.first_s)

    @property
    def span_s(self) -> float:
        """Time from the first arrival to the last, s."""
        return self.last_s - self.first_s

    @property
    def rate(self) -> float | None:
        """Gaps per second: (n - 1) / span; None without a span."""
        return (self.requests - 1) / self.span_s if self.span_s > 0 else None

    @property
    def gap_cv(self) -> float | None:
        """Coefficient of variation of the gaps between arrivals, 1 for Poisson."""
        if not self.span_s:
            return None
        gaps = self.requests - 1
        return float(np.sqrt(max(self._squared_gaps_s2 / gaps / (self.span_s / gaps) ** 2 - 1, 0)))

    def cv2(self) -> dict[float, float]:
        """Return the squared CV of counts by window, s, where there are enough windows."""
        found = {count.window_s: count.cv2 for count in self.counts}
        return {window_s: cv2 for window_s, cv2 in found.items() if cv2 is not None}


def counted(
    blocks: Iterable[NDArray[np.float64]], windows_s: Sequence[float] = WINDOWS_S
) -> Arrivals:
    """Count arrivals, block after block, s."""
    arrivals = Arrivals(windows_s)
    for block in blocks:
        arrivals.add(block)
    return arrivals
