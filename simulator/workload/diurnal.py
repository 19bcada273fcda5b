"""Load that follows the hours of a week: weekdays alike, and weekends.

The rate at time t is ``rate * m(t)``, with m the published hours of the day, straight lines between
their middles, scaled to mean one over the week.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TableError
from simulator.quantities import KINDS, data_names, read_data
from simulator.streams import Streams
from simulator.units import DAY_HOURS
from simulator.workload.arrivals import ArrivalLaw
from simulator.workload.config import DAYS, DiurnalConfig
from simulator.workload.cycles import Cycle, cycled

_PACKAGE = "simulator.workloads.diurnal"

STEPS_AN_HOUR = 12
"""Steps that an hour is cut into, each with a rate on the line between two hours."""


@dataclass(frozen=True, slots=True)
class DiurnalProfile:
    """Rates of the hours of a day, relative to the mean of the week.

    Parameters
    ----------
    name, title, trace
        Key in ``workloads/diurnal``, one line for reports, and what it was read from.
    weekday, weekend
        24 rates each, hour 0 first (UTC).
    """

    name: str
    title: str
    trace: str
    weekday: tuple[float, ...]
    weekend: tuple[float, ...]

    def week(self) -> NDArray[np.float64]:
        """Return the rate of each step of a week from Monday on, of mean one."""
        hours = np.array(5 * self.weekday + 2 * self.weekend)
        middles = np.arange(hours.size) + 0.5
        steps = (np.arange(hours.size * STEPS_AN_HOUR) + 0.5) / STEPS_AN_HOUR
        rates = np.interp(steps, middles, hours, period=float(hours.size))
        relative: NDArray[np.float64] = rates / rates.mean()
        return relative


def diurnal_names() -> list[str]:
    """List the profiles in ``workloads/diurnal``.

    Examples
    --------
    >>> diurnal_names()
    ['azure_code_2024', 'azure_conversation_2024']
    """
    return data_names(_PACKAGE)


def read_diurnal(name: str) -> DiurnalProfile:
    """Read a profile by name.

    Raises
    ------
    TableError
        If there is none of that name, or its file is incomplete.
    """
    data = read_data(_PACKAGE, name, "diurnal profile")
    days = {part: _hours(data.get(part), name, part) for part in ("weekday", "weekend")}
    return DiurnalProfile(name, str(data["title"]), str(data["trace"]), **days)


def _hours(entry: Any, name: str, part: str) -> tuple[float, ...]:
    origin = f"workloads/diurnal/{name}.yaml: {part}"
    entry = entry or {}
    if not (entry.get("unit") and entry.get("source") and entry.get("kind") in KINDS):
        raise TableError(f"{origin} lacks unit, source or kind; state all three.")
    hours = tuple(float(rate) for rate in entry.get("hours", ()))
    finite = all(0.0 <= rate < np.inf for rate in hours)
    if len(hours) != DAY_HOURS or not finite or not any(hours):
        raise TableError(f"{origin}.hours has {len(hours)} rates; give 24, none negative.")
    return hours


@dataclass(frozen=True)
class Diurnal:
    """An arrival law whose rate follows the hours of a week.

    Parameters
    ----------
    law
        Arrivals at the mean rate of the week.
    settings
        Which profile, and when a run starts.
    """

    law: ArrivalLaw
    settings: DiurnalConfig

    @cached_property
    def profile(self) -> DiurnalProfile:
        """The profile."""
        return read_diurnal(self.settings.profile)

    @property
    def cycle(self) -> Cycle:
        """The week, from when a run starts."""
        settings = self.settings
        start = (DAYS.index(settings.start_day) + settings.start_hour / DAY_HOURS) / len(DAYS)
        return Cycle(len(DAYS) * settings.day_s, self.profile.week(), start)

    @property
    def assumption(self) -> str:
        """What this law assumes."""
        settings, week = self.settings, self.profile.week()
        steady = self.law.assumption.replace("a constant", "a mean of")
        squeezed = "" if settings.day_s == 86_400.0 else f", a day in {settings.day_s:g} s"
        return (
            f"{steady}; the rate follows {self.profile.title} between {week.min():.2f} and "
            f"{week.max():.2f} times that{squeezed}, its hours partly interpolated, and a run "
            f"starts on {settings.start_day} at {settings.start_hour:g} h (UTC)"
        )

    def times(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Return arrival times, s, block after block."""
        return cycled(self.law, self.cycle, streams)
