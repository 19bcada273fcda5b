"""Sessions that the end of a run cuts off tell only that they had not ended by then.

A limit makes sessions slow, so that few of them end within a run. Those that do are the short ones,
and of all that began most seem to fail: neither share says how a session ends that is left in
peace. Here sessions that were cut off are *censored*: at risk of ending up to where they were cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_UNKNOWN = 0.05
"""Share of sessions of which one may not know how they end: beyond it there is no estimate."""


class Ends(NamedTuple):
    """How far sessions came.

    Parameters
    ----------
    lengths
        Replies or seconds to the end, or to where it was cut off, shape (n,).
    cut
        Which were cut off, shape (n,).
    """

    lengths: NDArray[np.float64]
    cut: NDArray[np.bool_]

    def chance(self, event: NDArray[np.bool_]) -> float | None:
        """Return the chance that a session ends by an event, and not otherwise.

        The estimator of Aalen and Johansen (1978) for competing risks: the sum over times t of
        ``S(t-) d(t) / n(t)``, with d(t) events, n(t) sessions at risk and S the estimator of Kaplan
        and Meier for not having ended. What it leaves open, the last S, is split alike.

        Parameters
        ----------
        event
            Which sessions ended by it; of one that was cut off it does not matter.

        Returns
        -------
        float or None
            None where more than `MOST_UNKNOWN` is left open, or there are no sessions.

        Examples
        --------
        >>> ends = Ends(np.array([5.0, 7.0, 3.0, 9.0]), np.array([False, False, True, False]))
        >>> round(ends.chance(np.array([True, False, False, False])), 4)
        0.3333
        """
        times, at_risk, alive = self._table()
        if not times.size or alive[-1] > MOST_UNKNOWN:
            return None
        hits = self._counted(times, event & ~self.cut)
        return float((alive[:-1] * hits / at_risk).sum() / (1.0 - alive[-1]))

    def mean(self) -> float | None:
        """Return the mean length of a session that nothing cuts off: the area under S.

        Returns
        -------
        float or None
            As for `chance`.

        Examples
        --------
        >>> Ends(np.array([5.0, 7.0, 3.0]), np.array([False, False, True])).mean()
        6.0
        """
        times, _, alive = self._table()
        if not times.size or alive[-1] > MOST_UNKNOWN:
            return None
        return float((alive[:-1] * np.diff(times, prepend=0.0)).sum())

    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Return times, sessions at risk at each, and S from before the first time on."""
        times = np.unique(self.lengths)
        at_risk = len(self.lengths) - np.searchsorted(np.sort(self.lengths), times)
        ended = self._counted(times, ~self.cut)
        alive = np.cumprod(np.concatenate([[1.0], 1.0 - ended / at_risk]))
        return times, at_risk, alive

    def _counted(self, times: NDArray[np.float64], which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(np.searchsorted(times, self.lengths[which]), minlength=len(times))
