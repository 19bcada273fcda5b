"""Functions of a token count that the event loop asks again and again: curves, lines, values."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

LEADING_BITS = 5
"""Binary digits of a token count that tell the segments of a `Curve` apart."""


class Window(NamedTuple):
    """A line that a cost follows over a range of counts: ``base_s + slope_s * tokens``.

    Parameters
    ----------
    base_s, slope_s
        The line, seconds and seconds per token.
    first_tokens, last_tokens
        Counts between which it holds, both included.
    active_experts
        Distinct experts in one MoE layer of such a step.
    """

    base_s: float
    slope_s: float
    first_tokens: int
    last_tokens: int
    active_experts: float


class Curve:
    """A function of a token count, linear within segments that are priced on first use.

    A kernel's time jumps where its work spills into one more tile: just above a round number of
    tokens. So segments are open below: every count up to 32 by itself, then (32, 34], (34, 36],
    ... (64, 68], ..., sixteen to the octave, each priced at its first and last count.

    Parameters
    ----------
    function
        The function, of an integer >= 0; called at most twice per segment.

    Examples
    --------
    >>> square = Curve(lambda n: float(n * n))
    >>> square.at(12), 0 < square.at(1000) / 1000**2 - 1 < 1e-3
    (144.0, True)
    """

    __slots__ = ("_function", "_segments")

    def __init__(self, function: Callable[[int], float]) -> None:
        self._function = function
        self._segments: dict[int, tuple[float, float]] = {}

    def at(self, tokens: int) -> float:
        """Return the value at ``tokens``, in O(1), about 0.15 us."""
        first, shift = tokens, (tokens - 1).bit_length() - LEADING_BITS
        if shift > 0:  # as `segment`, whose call would cost a third of this
            first = ((tokens - 1) >> shift << shift) + 1
        segment = self._segments.get(first)
        if segment is None:
            segment = self._segments[first] = self._price(first, 1 << max(shift, 0))
        return segment[0] + segment[1] * (tokens - first)

    @staticmethod
    def segment(tokens: int) -> tuple[int, int]:
        """Return the first and the last count of the segment around ``tokens``.

        Examples
        --------
        >>> Curve.segment(7), Curve.segment(66)
        ((7, 7), (65, 68))
        """
        shift = max((tokens - 1).bit_length() - LEADING_BITS, 0)
        first = ((tokens - 1) >> shift << shift) + 1
        return first, first + (1 << shift) - 1

    def line(self, first: int) -> tuple[float, float]:
        """Return value at zero and slope of the segment that starts at ``first``."""
        value = self.at(first)
        slope = self._segments[first][1]
        return value - slope * first, slope

    def _price(self, first: int, width: int) -> tuple[float, float]:
        """Return the value at the first count of a segment, and the slope to its last."""
        value = self._function(first)
        if width == 1:
            return value, 0.0
        return value, (self._function(first + width - 1) - value) / (width - 1)


class Remembered(dict[int, float]):
    """Values of a function of a count, each computed once: ``values[tokens]`` in 0.04 us.

    A look-up in a `Curve` takes four times that. Prompts often have lengths that came before; where
    they do not, memory stays bounded: what is full begins anew.

    Parameters
    ----------
    function
        The function, of an integer.
    most
        Values kept at most.

    Examples
    --------
    >>> squares = Remembered(lambda n: float(n * n), most=2)
    >>> squares[3], squares[4], squares[5], len(squares)
    (9.0, 16.0, 25.0, 1)
    """

    __slots__ = ("_function", "_most")

    def __init__(self, function: Callable[[int], float], most: int) -> None:
        self._function = function
        self._most = most

    def __missing__(self, count: int) -> float:
        if len(self) >= self._most:
            self.clear()
        value = self[count] = self._function(count)
        return value
