"""Named random streams, drawn in blocks.

Every stochastic part of a scenario draws from a stream of its own, and every block of a stream
has a generator of its own, keyed by (seed, replication, stream, block). So adding a stream never
shifts another, blocks can be drawn in any order, and no draw depends on the draft length:
speculative and baseline runs see the same arrivals, lengths and acceptances (common random
numbers).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one replication.

    Parameters
    ----------
    seed
        Root seed of the run, >= 0.
    replication
        Index of the replication, >= 0.
    """

    seed: int
    replication: int = 0

    def block(self, stream: str, index: int) -> np.random.Generator:
        """Return the generator of one block of a stream.

        Examples
        --------
        >>> streams = Streams(seed=7)
        >>> a, b = (streams.block("arrivals", 3).random() for _ in range(2))
        >>> a == b
        True
        """
        tag = zlib.crc32(stream.encode())
        return np.random.Generator(np.random.PCG64([self.seed, self.replication, tag, index]))
