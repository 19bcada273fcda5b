"""Worker processes that neither outlive a run nor talk over its end.

An interrupt from the keyboard reaches every process of the terminal at once. Workers do not: the
main process hears it, ends them and says so. A worker whose main process was killed ends by
itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[Result]:
    """Call a function on every item in worker processes.

    Parameters
    ----------
    function
        Called in a worker; importable, like `start`.
    items
        What to call it on.
    workers
        How many processes.
    start, arguments
        Called once in every worker before the first item.

    Yields
    ------
    Result
        In the order of the items.

    Raises
    ------
    BrokenProcessPool
        If a worker was killed.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (start, arguments)) as pool:
        try:
            with _interrupts_held():
                results = pool.map(function, items)
            yield from results
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    start(*arguments)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold interrupts back; processes started meanwhile never see them.

    Held, not ignored: one that comes meanwhile is delivered afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has no signal masks to inherit
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
