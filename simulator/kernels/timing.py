"""What every question to the tables is answered with."""

from __future__ import annotations

from typing import NamedTuple


class Timing(NamedTuple):
    """Time of one kernel call and how it was come by.

    Parameters
    ----------
    seconds
        Time of one call inside a CUDA graph, s.
    kind
        ``"measured"`` (a table row, or interpolated between rows), ``"fitted"`` (from a model
        fitted to rows of other shapes) or ``"assumed"`` (carried beyond the last row by a scaling
        law).

    Examples
    --------
    >>> Timing(0.25, "measured") + Timing(0.5, "fitted")
    Timing(seconds=0.75, kind='fitted')
    """

    seconds: float
    kind: str

    def __add__(self, other: object) -> Timing:
        """Return the time of both calls in turn; the weaker kind wins."""
        if not isinstance(other, Timing):
            return NotImplemented
        return Timing(self.seconds + other.seconds, weaker(self.kind, other.kind))


_STRENGTH = ("measured", "fitted", "assumed")


def weaker(first: str, second: str) -> str:
    """Return the less certain of two kinds.

    Examples
    --------
    >>> weaker("measured", "assumed")
    'assumed'
    """
    return first if first == second else max(first, second, key=_STRENGTH.index)
