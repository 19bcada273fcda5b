"""Runs the jobs that searches ask for: each once, from the cache where it is there.

A search is a generator: it yields the jobs that it needs next, is sent their results, and returns
what it found. So it reads like a sequential procedure, and any number of them run side by side on
the same workers (`together`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from simulator.study.executors import Executor
from simulator.study.plan.job import Job, run_job
from simulator.study.plan.outcome import Outcome
from simulator.study.plan.screening import Screening
from simulator.study.plan.store import Store
from simulator.trace.json_file import Json

Found = TypeVar("Found")

Search = Generator[Sequence[Job], Sequence[Json], Found]
"""Yields jobs, is sent their results in the same order, returns what it found."""


class Runs:
    """Runs jobs, and counts.

    Parameters
    ----------
    executor
        Who runs them; entered by the caller.
    workers
        How many at a time; None takes all there are.
    store
        The cache.
    advance
        Called with 1 after each job that ran.
    """

    def __init__(
        self,
        executor: Executor,
        workers: int | None,
        store: Store,
        advance: Callable[[int], None],
    ) -> None:
        self._executor, self._workers, self._store = executor, workers, store
        self._advance = advance
        self._known: dict[str, Json] = {}
        self.simulated = 0
        """Simulations that ran."""
        self.cached = 0
        """Simulations that the cache answered."""

    def results(self, jobs: Sequence[Job]) -> list[Json]:
        """Return the results of jobs, in their order."""
        keys = [job.key for job in jobs]
        missing: dict[str, Job] = {}
        for key, job in zip(keys, jobs, strict=True):
            if key in self._known or key in missing:
                continue
            found = self._store.get(key)
            if found is None:
                missing[key] = job
            else:
                self._known[key] = found
                self.cached += job.replication is not None
        self._run(missing)
        return [self._known[key] for key in keys]

    def _run(self, missing: dict[str, Job]) -> None:
        """Run what nobody knows; every result is kept as soon as it is there."""
        keys, jobs = list(missing), list(missing.values())
        for index, result in self._executor.run(run_job, jobs, self._workers):
            self._store.put(keys[index], result)
            self._known[keys[index]] = result
            self.simulated += jobs[index].replication is not None
            self._advance(1)


def together(searches: Sequence[Search[Found]], runs: Runs) -> list[Found]:
    """Run searches side by side; return what each found, in their order.

    In every round the jobs that all of them wait for run as one lot.
    """
    found: dict[int, Found] = {}
    waiting: dict[int, Sequence[Job]] = {}
    for index, search in enumerate(searches):
        _step(index, search, None, found, waiting)
    while waiting:
        lots = list(waiting.items())
        waiting.clear()
        results = iter(runs.results([job for _, jobs in lots for job in jobs]))
        for index, jobs in lots:
            answers = [next(results) for _ in jobs]
            _step(index, searches[index], answers, found, waiting)
    return [found[index] for index in range(len(searches))]


def _step(
    index: int,
    search: Search[Found],
    answers: Sequence[Json] | None,
    found: dict[int, Found],
    waiting: dict[int, Sequence[Job]],
) -> None:
    """Let a search go on until it asks again or returns."""
    try:
        waiting[index] = next(search) if answers is None else search.send(answers)
    except StopIteration as end:
        found[index] = end.value


def simulations(jobs: Sequence[Job]) -> Search[list[Outcome]]:
    """Ask for simulations."""
    results = yield jobs
    return [Outcome.from_json(result) for result in results]


def screenings(jobs: Sequence[Job]) -> Search[list[Screening]]:
    """Ask for screenings."""
    results = yield jobs
    return [Screening.from_json(result) for result in results]
