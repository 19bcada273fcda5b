"""What each traffic class saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.trace.latencies import Samples, happened
from simulator.trace.load import ratio
from simulator.trace.objectives import Bools
from simulator.trace.read import Columns
from simulator.trace.schema import OUTCOMES
from simulator.trace.windows import Window


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """What the requests of one traffic class saw, among those that arrive in the window.

    Parameters
    ----------
    latencies
        Times of those that finished, by name (`simulator.trace.latencies.TIMES`).
    requests, attained
        Requests that arrived, and that met their objective.
    missed, outcomes
        Requests that exceeded each bound of it, and requests by how they left.
    goodput_per_s
        Requests finished per second of the window that met it; None without an objective.
    """

    latencies: dict[str, Samples]
    requests: int
    attained: int
    missed: dict[str, int]
    outcomes: dict[str, int]
    goodput_per_s: float | None


def classes(
    requests: Columns,
    kept: Bools,
    times: dict[str, Samples],
    missed: dict[str, Bools],
    attained: Bools,
    good: Bools | None,
    window: Window,
) -> Iterator[tuple[int, ClassMetrics]]:
    """Yield the figures of every traffic class by its index, if there are several.

    Parameters
    ----------
    requests
        All of the run.
    kept, attained, good
        Which of them are measured, met their objective, and did so within the window; the last is
        None without an objective.
    times, missed
        Their times (`simulator.trace.latencies.times_s`), and which exceed which bound.
    window
        The measured stretch.
    """
    traffic_class, outcome = requests["traffic_class"], requests["outcome"]
    count = 1 + int(traffic_class.max(initial=0))
    for index in range(count if count > 1 else 0):
        of_class = traffic_class == index
        mine = of_class & kept
        counts = np.bincount(outcome[mine], minlength=len(OUTCOMES)).tolist()
        yield (
            index,
            ClassMetrics(
                latencies={name: happened(values[mine]) for name, values in times.items()},
                requests=int(mine.sum()),
                attained=int(attained[mine].sum()),
                missed={name: int(values[mine].sum()) for name, values in missed.items()},
                outcomes=dict(zip(OUTCOMES, counts, strict=True)),
                goodput_per_s=(
                    None if good is None else ratio(int(good[of_class].sum()), window.length_s)
                ),
            ),
        )
