"""What a run had promised to whom: objectives and traffic classes, from the notes of its trace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.mapping import from_mapping
from simulator.slo import BOUNDS, SloConfig
from simulator.trace.read import Columns, notes, open_trace

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Objectives:
    """The objective of a run and of its traffic classes.

    Parameters
    ----------
    slo
        What holds where a class has none of its own.
    names
        Of the traffic classes, by index; empty where the traffic has one class.
    own
        Objectives of the traffic classes, by index; None takes `slo`.
    """

    slo: SloConfig
    names: tuple[str, ...] = ()
    own: tuple[SloConfig | None, ...] = ()

    @property
    def given(self) -> bool:
        """Whether anything was promised to anyone."""
        return any(slo.bounds for slo in (self.slo, *self.own) if slo is not None)

    def name(self, traffic_class: int) -> str:
        """Return the name of a class, its number if it has none."""
        named = traffic_class < len(self.names)
        return self.names[traffic_class] if named else f"class {traffic_class}"

    def of(self, traffic_class: int) -> SloConfig:
        """Return the objective of a class."""
        own = self.own[traffic_class] if traffic_class < len(self.own) else None
        return self.slo if own is None else own

    def missed(self, times_s: Columns, traffic_class: Ints) -> dict[str, Bools]:
        """Tell which requests exceed which bound.

        Parameters
        ----------
        times_s
            By name of `simulator.slo.BOUNDS`: latencies, s, of shape ``[requests]``. NaN, for one
            that did not happen, exceeds nothing.
        traffic_class
            Index of the class of each request.
        """
        classes = range(int(traffic_class.max(initial=0)) + 1)
        bounds = [self.of(index).bounds for index in classes]
        return {
            name: times_s[name]
            > np.array([found.get(name, np.inf) for found in bounds])[traffic_class]
            for name in BOUNDS
        }


def read_objectives(requests_path: Path | str) -> Objectives:
    """Read the objectives of a trace from the configuration in its file metadata.

    A trace without such settings promises nothing.

    Raises
    ------
    DataError
        If the file is not a complete trace of requests.
    """
    with open_trace(requests_path, "requests") as file:
        config = json.loads(notes(file).get("config", "{}"))
    classes = (config.get("workload") or {}).get("traffic_classes") or []
    return Objectives(
        slo=_slo(config.get("slo")) or SloConfig(),
        names=tuple(str(each["name"]) for each in classes),
        own=tuple(_slo(each.get("slo")) for each in classes),
    )


def _slo(values: Mapping[str, Any] | None) -> SloConfig | None:
    return None if values is None else from_mapping(SloConfig, values, "slo")
