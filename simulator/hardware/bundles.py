"""Transfers that begin and end together: the exchange of a layer, in closed form for many at once.

The transfers of one exchange share a channel in proportion to their sizes, so that all end when
the fullest channel has passed its bytes, ``max over channels of bytes / bandwidth``: no order of
sending ends sooner. Beside others a bundle counts as so many transfers of its mean size
(`link_network`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from simulator.hardware.topology import Topology

Floats = NDArray[np.float64]


class Bundle(NamedTuple):
    """Transfers that begin and end together.

    Parameters
    ----------
    loads
        What they send through each channel of the topology, bytes, shape (channels,).
    alone_s
        How long that takes on idle links, without latency, s.
    mean_bytes
        Mean size of the transfers through the channel that takes longest, bytes.
    mask
        Bit c is set if they use channel c.
    latency_s
        Of the longest route, s.
    """

    loads: Floats
    alone_s: float
    mean_bytes: float
    mask: int
    latency_s: float


class TransferPattern:
    """Who sends to whom in an exchange, and what that puts on the channels of a topology.

    Parameters
    ----------
    topology
        The GPUs and their links.
    pairs
        Sending and receiving GPU of each transfer, different ones.

    Examples
    --------
    >>> from simulator.hardware.topology import load_topology
    >>> node = load_topology("nvswitch_h100")
    >>> pattern = TransferPattern(node, [(0, 1), (0, 2)])
    >>> [bundle] = pattern.bundles(np.array([[450e3, 900e3]]))
    >>> round(bundle.alone_s * 1e6, 6), bundle.mean_bytes
    (3.0, 675000.0)
    """

    def __init__(self, topology: Topology, pairs: Sequence[tuple[int, int]]) -> None:
        self.pairs = tuple(pairs)
        routes = [topology.routes[sender][receiver] for sender, receiver in self.pairs]
        rows = np.repeat(np.arange(len(routes)), [len(route) for route in routes])
        channels = np.concatenate(routes).astype(np.int64)
        shape = len(routes), len(topology.capacities)
        self._passes = scipy.sparse.csr_array((np.ones(len(rows)), (rows, channels)), shape)
        self._users = np.bincount(channels, minlength=shape[1])
        self._capacities = np.array(topology.capacities)
        self._latency_s = max(float(topology.latency_s[pair]) for pair in self.pairs)
        self._mask = sum(1 << channel for channel in np.flatnonzero(self._users).tolist())

    def alone_s(self, sizes_bytes: Floats) -> Floats:
        """Return how long exchanges take on idle links, latency included, s.

        Parameters
        ----------
        sizes_bytes
            Size of each transfer, shape (exchanges, pairs).
        """
        loads = sizes_bytes @ self._passes
        return np.asarray((loads / self._capacities).max(axis=1) + self._latency_s)

    def bundles(self, sizes_bytes: Floats) -> list[Bundle]:
        """Return exchanges as bundles; ``sizes_bytes`` as in `alone_s`."""
        loads = sizes_bytes @ self._passes
        times_s = loads / self._capacities
        fullest = times_s.argmax(axis=1)
        rows = np.arange(len(loads))
        sent = sizes_bytes > 0
        users = self._users[fullest] if sent.all() else (sent @ self._passes)[rows, fullest]
        means = loads[rows, fullest] / np.maximum(users, 1.0)
        found = zip(loads, times_s[rows, fullest].tolist(), means.tolist(), strict=True)
        return [Bundle(*one, self._mask, self._latency_s) for one in found]


def everyone(gpus: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs of an exchange in which each GPU sends to every other.

    Examples
    --------
    >>> everyone([4, 5])
    [(4, 5), (5, 4)]
    """
    return [(sender, receiver) for sender in gpus for receiver in gpus if sender != receiver]
