"""Pictures that clients send, and which of them are worth an attack."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.serving.tenants.defended import Classifier

Floats = NDArray[np.float64]


class Pictures(NamedTuple):
    """What clients send.

    Parameters
    ----------
    pixels, labels
        Shapes (n, d) and (n,).
    targets
        Row that is attacked where a row is drawn, shape (n,): itself if the model classifies it
        rightly without noise, else the next that it does. So attacks on several models are on the
        same pictures, but for those few.
    """

    pixels: Floats
    labels: NDArray[np.int64]
    targets: NDArray[np.int64]

    @classmethod
    def seen_by(cls, model: Classifier, pixels: Floats, labels: NDArray[np.int64]) -> Pictures:
        """Return pictures with the targets of a model.

        Raises
        ------
        InvariantError
            If the model is right about none.
        """
        right = np.flatnonzero(model.outputs(pixels).argmax(axis=1) == labels)
        if not right.size:
            raise InvariantError("the model classifies no picture rightly; there is none to attack")
        following = np.searchsorted(right, np.arange(len(labels))) % right.size
        return cls(pixels, labels, right[following])

    def drawn(self, generator: np.random.Generator) -> int:
        """Draw the row of a picture to attack, all rows of `targets` alike."""
        return int(self.targets[generator.integers(len(self.targets))])
