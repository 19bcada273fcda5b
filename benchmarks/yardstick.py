"""The yardstick of all speeds: bare SimPy on this machine, now."""

from __future__ import annotations

from collections.abc import Generator
from time import process_time
from typing import Any

import simpy


def timeouts_per_s(events: int = 200_000) -> float:
    """Return timeouts per CPU second of one SimPy process that does nothing else."""
    environment = simpy.Environment()

    def ticks() -> Generator[simpy.Event, Any, None]:
        for _ in range(events):
            yield environment.timeout(1.0)

    environment.process(ticks())
    began = process_time()
    environment.run()
    return events / (process_time() - began)
