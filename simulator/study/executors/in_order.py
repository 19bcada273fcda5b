"""The worker processes of a study: jobs go out, results come back in the order of the jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from simulator.study.executors import Executor

Job = TypeVar("Job")
Result = TypeVar("Result")


class Workers(NamedTuple):
    """Who does the jobs of a study.

    Parameters
    ----------
    executor
        Keeps processes while the study lasts.
    processes
        How many.
    advance
        Told how many units of work a job was when it is done.
    """

    executor: Executor
    processes: int
    advance: Callable[[int], None]

    def run(
        self, function: Callable[[Job], Result], jobs: Sequence[Job], units: int = 1
    ) -> list[Result]:
        """Call a function on every job; results have the order of the jobs.

        Parameters
        ----------
        function
            Importable; what it returns does not depend on who runs it.
        jobs
            What it is called on.
        units
            Of work in each job.
        """
        found: dict[int, Result] = {}
        for position, result in self.executor.run(function, jobs, self.processes):
            found[position] = result
            self.advance(units)
        return [found[position] for position in range(len(jobs))]
