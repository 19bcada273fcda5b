"""What the endpoint answers: a classifier's scores, of its input plus noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.streams import Streams

Floats = NDArray[np.float64]

BLOCK_ROWS = 2048
"""Queries whose noise is drawn at once."""


class Classifier(Protocol):
    """A model that scores inputs (`mlp.Mlp` is one)."""

    def outputs(self, inputs: Floats) -> Floats:
        """Return scores, shape (n, k), of inputs, shape (n, d)."""
        ...


class Defended:
    """Random noise defence: the scores of ``x + nu v``, with v normal and fresh for every query.

    (Qin et al., "Random Noise Defense against Query-Based Black-Box Attacks", 2104.11470.)

    Parameters
    ----------
    model
        What scores.
    nu
        Standard deviation of the noise on every pixel, >= 0; 0 is no defence.
    streams, stream
        Where noise is drawn from.
    """

    def __init__(
        self, model: Classifier, nu: float, streams: Streams, stream: str = "defence"
    ) -> None:
        self._model, self._nu = model, nu
        self._streams, self._stream = streams, stream
        self._blocks: Iterator[Floats] | None = None
        self._noise: Floats = np.empty((0, 0))
        self._used = 0

    def scores(self, points: Floats) -> Floats:
        """Return the scores, shape (n, k), of queries, shape (n, d)."""
        if not self._nu:
            return self._model.outputs(points)
        return self._model.outputs(points + self._next(*points.shape))

    def _next(self, rows: int, width: int) -> Floats:
        """Return noise for as many queries; what is left of a block is used first."""
        if self._blocks is None:
            self._blocks = self._drawn(width)
            self._noise = next(self._blocks)
        while self._used + rows > len(self._noise):
            rest = self._noise[self._used :]
            self._noise, self._used = np.concatenate([rest, next(self._blocks)]), 0
        start, self._used = self._used, self._used + rows
        return self._noise[start : self._used]

    def _drawn(self, width: int) -> Iterator[Floats]:
        block = 0
        while True:
            generator = self._streams.block(self._stream, block)
            yield self._nu * generator.standard_normal((BLOCK_ROWS, width))
            block += 1
