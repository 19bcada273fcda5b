"""Tasks on a Ray cluster: one that is there, or one started on this machine.

Ray is imported when the first jobs are given out. Nodes need this moesim: the one that a task finds
there must be the same to the byte (`simulator.study.fingerprint`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from logging import ERROR
from socket import create_connection
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from simulator.errors import CapacityError, ConfigError
from simulator.study.executors.executor import EXECUTORS
from simulator.study.fingerprint import fingerprint

Item = TypeVar("Item")
Result = TypeVar("Result")


PATIENCE_S = 10.0
"""Seconds that the head of a cluster may take to answer."""


class Home(NamedTuple):
    """What a task checks of where it runs: the fingerprint of moesim, and the working folder."""

    fingerprint: str
    folder: str


class OnRay:
    """An executor (`simulator.study.executors.executor`) of Ray tasks, one CPU each.

    Parameters
    ----------
    address
        Of the cluster, as ``ray.init`` takes it (``auto``, ``HOST:PORT``, ``ray://HOST:PORT``);
        None takes that of the environment (``RAY_ADDRESS``), and without one starts one here.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._ray: Any = None
        self._ours = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ours:
            self._ray.shutdown()
        self._ray, self._ours = None, False

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
    ) -> Iterator[tuple[int, Result]]:
        """Call a function on every item, as `Executor.run` says; also where a node was lost."""
        ray = self._ray = self._ray or self._connected(workers)
        home = Home(fingerprint(), os.getcwd())
        task = ray.remote(num_cpus=1)(_at_home)
        workers = workers or int(ray.cluster_resources().get("CPU", 1))
        jobs = enumerate(items)
        running: dict[Any, int] = {}
        try:
            while True:
                for position, item in islice(jobs, workers - len(running)):
                    running[task.remote(home, function, item)] = position
                if not running:
                    return
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                yield running.pop(done), _result(ray, done)
        finally:
            for begun in running:
                ray.cancel(begun)

    def _connected(self, workers: int | None) -> Any:
        """Return Ray, attached to the cluster."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray: Any = import_module("ray")  # an extra, and slow
        if ray.is_initialized():  # whoever started it ends it
            return ray
        address = self._address or os.environ.get("RAY_ADDRESS")
        local = {} if address else {"num_cpus": workers, "include_dashboard": False}
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, logging_level=ERROR, **local)
        except (OSError, ValueError, RuntimeError) as error:  # connection errors are OS errors
            raise ConfigError(
                f"address={address}: no Ray cluster answers ({error}). Start one with: ray "
                "start --head, or leave address out for one on this machine."
            ) from error
        self._ours = True
        return ray


def _knock(address: str | None) -> None:
    """Raise an OSError where nothing listens: Ray itself tries for minutes."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        create_connection((host, int(port)), timeout=PATIENCE_S).close()


def _result(ray: Any, task: Any) -> Any:
    """Return what a task returned, or raise what it raised."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ray.exceptions.RayError):
            (reason, *_) = str(error.cause).splitlines()
            raise ConfigError(
                f"a node of the Ray cluster cannot take the jobs of this machine: {reason}. "
                "Install the same moesim on all nodes."
            ) from error
        raise error.cause if isinstance(error.cause, Exception) else error from None
    except ray.exceptions.RayError as error:
        raise CapacityError(
            f"a worker of the Ray cluster was lost ({type(error).__name__}), likely for want of "
            "memory; lower workers, run.requests or the lengths of the workload."
        ) from error


def _at_home(home: Home, function: Callable[[Item], Result], item: Item) -> Result:
    """Run a job on a node, after checking that the node can give the same answer."""
    if fingerprint() != home.fingerprint:
        raise ConfigError(
            "a node of the Ray cluster has another moesim, another Python or other libraries than "
            "this machine; install the same on all nodes."
        )
    try:
        os.chdir(home.folder)  # files are named from there
    except OSError as error:
        raise ConfigError(
            f"a node of the Ray cluster has no folder {home.folder!r}: {error.strerror}. Start "
            "from a folder that all nodes share."
        ) from error
    return function(item)


@EXECUTORS.register("ray")
def _on_ray(address: str | None) -> OnRay:
    if find_spec("ray") is None:
        raise ConfigError(
            "executor=ray needs Ray, which is not installed. Try: pip install 'moesim[ray]'"
        )
    return OnRay(address)
