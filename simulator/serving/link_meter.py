"""What goes over the links of a topology, interval by interval."""

from __future__ import annotations

import numpy as np
import simpy

from simulator.hardware.bundles import Floats
from simulator.hardware.topology import Topology
from simulator.trace.writer import BLOCK_ROWS, RowSink


class LinkMeter:
    """Adds up bytes by link and writes a row per link and interval in which some went over it.

    Bytes count where they are accounted for: those of a bundle at its end, those of other
    transfers whenever something on the links changes. An interval without any has no rows.

    Parameters
    ----------
    env
        The SimPy environment.
    topology
        The links.
    interval_s
        Length of an interval, s.
    trace
        Where rows go.
    replica
        Number of the replica whose links they are; -1 for those of the cluster.
    """

    def __init__(
        self,
        env: simpy.Environment,
        topology: Topology,
        interval_s: float,
        trace: RowSink,
        replica: int = -1,
    ) -> None:
        self._env, self._trace, self._replica = env, trace, replica
        self._interval_s = interval_s
        channels = len(topology.capacities)
        self._link = np.zeros(channels, dtype=np.int64)
        for number, link in enumerate(topology.links.values()):
            self._link[list(link.channels)] = number
        self._links = len(topology.links)
        self._capacity = np.bincount(self._link, topology.capacities, self._links)
        self._loads = np.zeros(channels)
        self._start_s = 0.0

    def add(self, loads: Floats) -> None:
        """Count what was sent, bytes by channel."""
        now_s = self._env.now
        if now_s >= self._start_s + self._interval_s:
            self._write(self._interval_s)
            self._start_s = now_s // self._interval_s * self._interval_s
        self._loads += loads

    def close(self) -> None:
        """Write the last interval, which ends now if it is not over yet."""
        self._write(min(self._env.now - self._start_s, self._interval_s))

    def _write(self, duration_s: float) -> None:
        by_link = np.bincount(self._link, self._loads, self._links)
        self._loads[:] = 0.0
        if duration_s <= 0.0:
            return
        for link in np.flatnonzero(by_link).tolist():
            carried = float(by_link[link])
            share = carried / (float(self._capacity[link]) * duration_s)
            row = (self._start_s, duration_s, self._replica, link, carried, share)
            self._trace.rows.append(row)
        if len(self._trace.rows) >= BLOCK_ROWS:
            self._trace.flush()
