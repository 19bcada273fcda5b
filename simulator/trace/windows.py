"""The stretch of a run that is measured: after the warm-up, while load still arrives.

Let requests arrive from ``a`` to ``b``. The window is ``[a + w (b - a), b]`` with the warm-up
fraction ``w``; what happens after ``b``, while the system only empties, is not averaged. In a
closed loop ``b`` is when the first user runs out of requests to send, near enough.

A burst, whose arrivals all come within the time that one request typically spends in service, has
no steady stretch: it is measured whole, from ``a`` to its last token. Time in service excludes the
queue, so an overload, however heavy, is not mistaken for a burst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from simulator.errors import ConfigError
from simulator.trace.read import Columns, Run


@dataclass(frozen=True, slots=True)
class Window:
    """The measured stretch of one run.

    Parameters
    ----------
    start_s, end_s
        Its bounds, s of simulated time. Requests count if they arrive at or after the start.
    last_finish_s
        When the run emitted its last token, s.
    burst
        Whether the run is a burst, measured whole.
    """

    start_s: float
    end_s: float
    last_finish_s: float
    burst: bool

    @property
    def length_s(self) -> float:
        """Length of the window, s."""
        return self.end_s - self.start_s

    @property
    def drain_s(self) -> float:
        """Time from the last arrival to the last token, s; 0 for a burst."""
        return max(0.0, self.last_finish_s - self.end_s)

    def quarters_s(self) -> list[tuple[float, float]]:
        """Return the bounds of its four quarters, s."""
        edges = np.linspace(self.start_s, self.end_s, 5).tolist()
        return list(pairwise(edges))


def windows(requests: Mapping[Run, Columns], warmup_fraction: float) -> dict[Run, Window]:
    """Choose the window of every run.

    If one run is a burst all are: paired runs must be measured alike.

    Parameters
    ----------
    requests
        By run: ``arrival_s``, and ``admitted_s`` and ``finish_s``, NaN where rejected.
    warmup_fraction
        Share of the arrivals' span that is cut, in [0, 1).

    Raises
    ------
    ConfigError
        If the fraction is outside [0, 1).
    """
    if not 0.0 <= warmup_fraction < 1.0:
        raise ConfigError(f"warmup_fraction is {warmup_fraction!r}; it must be in [0, 1).")
    burst = any(_is_burst(columns) for columns in requests.values())
    return {run: _window(columns, warmup_fraction, burst) for run, columns in requests.items()}


def _is_burst(columns: Columns) -> bool:
    service_s = columns["finish_s"] - columns["admitted_s"]
    finished = ~np.isnan(service_s)
    return bool(finished.any() and np.ptp(columns["arrival_s"]) < np.median(service_s[finished]))


def _window(columns: Columns, warmup_fraction: float, burst: bool) -> Window:
    first_s, last_s = float(columns["arrival_s"].min()), float(columns["arrival_s"].max())
    finish_s = columns["finish_s"]
    last_finish_s = float(np.nanmax(finish_s)) if not np.isnan(finish_s).all() else last_s
    if burst:
        return Window(first_s, max(last_s, last_finish_s), last_finish_s, burst=True)
    start_s = first_s + warmup_fraction * (last_s - first_s)
    return Window(start_s, last_s, last_finish_s, burst=False)
