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
from concurrent.futures import Future, ProcessPoolExecutor
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
    with worker_pool(workers, start, arguments) as pool:
        with _interrupts_held():
            futures = [pool.submit(function, item) for item in items]
        for future in futures:
            yield future.result()


@contextmanager
def worker_pool(
    workers: int, start: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Keep worker processes while the context lasts; an exception that leaves it ends them.

    Give them work by `submitted`. `start`, if any, is called once in every worker.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (start, arguments)) as pool:
        try:
            yield pool
        except BaseException:
            # Without its workers the pool fails what is pending; cancelling it too would race.
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def submitted(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item
) -> Future[Result]:
    """Give a pool of `worker_pool` one more job; a process it starts hears no interrupt."""
    with _interrupts_held():
        return pool.submit(function, item)


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if start is not None:
        start(*arguments)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold interrupts back; processes started meanwhile never see them.

    Held, not ignored: one that comes meanwhile is raised again afterwards. The mask is what new
    processes inherit; the handler is for interrupts that another thread of ours takes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    mask = None
    if hasattr(signal, "pthread_sigmask"):  # Windows has no signal masks to inherit
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
        if heard:
            signal.raise_signal(signal.SIGINT)
