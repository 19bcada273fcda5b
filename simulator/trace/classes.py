"""What each traffic class saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.trace.latencies import Samples, happened
from simulator.trace.load import ratio
from simulator.trace.objectives import Bools, Ints
from simulator.trace.windows import Window


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """What the requests of one traffic class saw, among those that arrive in the window.

    Parameters
    ----------
    latencies
        Times of those that finished, by name (`simulator.trace.latencies.TIMES`).
    requests, finished, attained
        Requests that arrived, that finished, and that met their objective.
    goodput_per_s
        Requests finished per second of the window that met it; None without an objective.
    """

    latencies: dict[str, Samples]
    requests: int
    finished: int
    attained: int
    goodput_per_s: float | None


def classes(
    traffic_class: Ints,
    kept: Bools,
    times: dict[str, Samples],
    attained: Bools,
    good: Bools | None,
    window: Window,
) -> Iterator[tuple[int, ClassMetrics]]:
    """Yield the figures of every traffic class by its index, if there are several.

    Parameters
    ----------
    traffic_class
        Of every request of the run.
    kept, attained, good
        Which of them are measured, met their objective, and did so within the window; the last is
        None without an objective.
    times
        Their times (`simulator.trace.latencies.times_s`).
    window
        The measured stretch.
    """
    count = 1 + int(traffic_class.max(initial=0))
    for index in range(count if count > 1 else 0):
        of_class = traffic_class == index
        mine = of_class & kept
        samples = {name: happened(values[mine]) for name, values in times.items()}
        yield (
            index,
            ClassMetrics(
                latencies=samples,
                requests=int(mine.sum()),
                finished=samples["e2e_s"].size,
                attained=int(attained[mine].sum()),
                goodput_per_s=(
                    None if good is None else ratio(int(good[of_class].sum()), window.length_s)
                ),
            ),
        )
