"""Named random streams, drawn in blocks.

Every stochastic part of a scenario draws from a stream of its own, and every block of a stream
has a generator of its own, keyed by (seed, replication, stream, block). So adding a stream never
shifts another, blocks can be drawn in any order, and no draw depends on the draft length:
speculative and baseline runs see the same arrivals, lengths and acceptances (common random
numbers).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

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
    scope
        What the names of streams begin with, for parts that draw streams of equal names.
    """

    seed: int
    replication: int = 0
    scope: str = ""

    def within(self, part: str) -> Streams:
        """Return the streams of a part, all of them others than those of this one.

        Examples
        --------
        >>> Streams(seed=7).within("chat").within("client 3").scope
        'chat/client 3/'
        """
        return replace(self, scope=f"{self.scope}{part}/")

    def block(self, stream: str, index: int) -> np.random.Generator:
        """Return the generator of one block of a stream.

        Examples
        --------
        >>> streams = Streams(seed=7)
        >>> a, b = (streams.block("arrivals", 3).random() for _ in range(2))
        >>> a == b
        True
        """
        tag = zlib.crc32((self.scope + stream).encode())
        return np.random.Generator(np.random.PCG64([self.seed, self.replication, tag, index]))
