"""What runs many jobs, whatever the machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self, TypeVar

from simulator.registry import Registry

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs jobs in workers that it keeps until its context is left.

    Left by an exception, an interrupt too, it ends what runs.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
    ) -> Iterator[tuple[int, Result]]:
        """Call a function on every item.

        Parameters
        ----------
        function
            Called in a worker; importable, and its results do not depend on order or worker.
        items
            What to call it on; taken as workers become free.
        workers
            How many at most at the same time; None takes all there are. Other than before, and
            workers are started anew.

        Yields
        ------
        tuple of int and Result
            The position of the item and its result, as they finish. Of what was begun when the
            caller stops early, nothing is heard.

        Raises
        ------
        CapacityError
            If a worker was killed.
        """
        ...


NewExecutor = Callable[[str | None], Executor]
"""Makes an executor for an address; None where none was given."""

EXECUTORS: Registry[NewExecutor] = Registry("executor")
"""The executors by the name that the setting ``executor`` takes."""


def open_executor(kind: str, address: str | None = None) -> Executor:
    """Make an executor; nothing starts before its first jobs.

    Parameters
    ----------
    kind
        Name in `EXECUTORS`.
    address
        Where its workers are, if it takes an address.

    Raises
    ------
    ConfigError
        If there is no such executor, it takes no address, or a library is missing.
    """
    return EXECUTORS.get(kind, "executor")(address)
