"""Worker processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from simulator.errors import CapacityError, ConfigError
from simulator.study.executors.executor import EXECUTORS
from simulator.study.workers import submitted, worker_pool

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Jobs given out per worker, so that none waits for the main process."""


class Processes:
    """An executor (`simulator.study.executors.executor`) of processes; one worker is this one."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._pool: ProcessPoolExecutor | None = None
        self._workers = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool = None
        self._open.__exit__(kind, error, trace)

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
    ) -> Iterator[tuple[int, Result]]:
        """Call a function on every item, as `Executor.run` says."""
        workers = workers or os.cpu_count() or 1
        jobs = enumerate(items)
        if workers == 1:
            for position, item in jobs:
                yield position, function(item)
            return
        pool = self._pool_of(workers)
        running: dict[Future[Any], int] = {}
        try:
            while True:
                for position, item in islice(jobs, AHEAD * workers - len(running)):
                    running[submitted(pool, function, item)] = position
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise CapacityError(
                "a worker process was killed, likely for want of memory; lower workers, "
                "run.requests or the lengths of the workload."
            ) from error

    def _pool_of(self, workers: int) -> ProcessPoolExecutor:
        """Return the pool of so many workers: the one at hand, or another in its place."""
        if self._pool is None or self._workers != workers:
            self._open.close()
            self._pool = self._open.enter_context(worker_pool(workers))
            self._workers = workers
        return self._pool


@EXECUTORS.register("processes")
def _processes(address: str | None) -> Processes:
    if address is not None:
        raise ConfigError(
            f"address={address} has no effect: executor=processes runs on this machine. Leave it "
            "out, or choose executor=ray."
        )
    return Processes()
