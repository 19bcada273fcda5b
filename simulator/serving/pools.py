"""The replicas of a cluster: those that take requests, and those that come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import simpy

from simulator.serving.changes import Change
from simulator.serving.deployment import Deployment
from simulator.serving.replica import Replica
from simulator.serving.request import Request
from simulator.serving.router import Router
from simulator.trace.schema import DRAIN, READY, START, STOP


class State(Enum):
    """What a replica is doing."""

    STOPPED = auto()
    STARTING = auto()
    SERVING = auto()
    DRAINING = auto()
    """Finishes what it has, takes nothing new."""
    LOST = auto()


@dataclass(slots=True, eq=False)
class Slot:
    """The place of a replica.

    Parameters
    ----------
    replica
        What serves there; at first it is stopped.
    pool
        Of which pool it is.
    scaled
        Whether an autoscaler may start and stop it.
    """

    replica: Replica
    pool: Deployment
    scaled: bool = False
    state: State = State.STOPPED
    age: int = 0
    """Changes of its state: what was planned for an earlier one is void."""
    returns: bool = False
    """Whether it will be repaired, once lost."""

    @property
    def index(self) -> int:
        """Number of the replica."""
        return self.replica.index

    def turn(self, state: State) -> None:
        """Change the state."""
        self.state = state
        self.age += 1


class Desk:
    """Sends requests to the replicas of one role, through a router.

    Parameters
    ----------
    router
        Chooses among the replicas that take requests.
    deliver
        Hands a request to a replica.
    nobody
        Takes a request while there is no such replica.
    """

    def __init__(
        self,
        router: Router,
        deliver: Callable[[Replica, Request], None],
        nobody: Callable[[Request], None],
    ) -> None:
        self.replicas: list[Replica] = []
        self.held: deque[Request] = deque()
        """Requests that wait for any replica to take them."""
        self._router = router
        self._deliver = deliver
        self._nobody = nobody

    def send(self, request: Request) -> None:
        """Hand a request to a replica."""
        replicas = self.replicas
        if not replicas:
            self._nobody(request)
            return
        self._deliver(replicas[self._router.choose(replicas, request)], request)

    def release(self) -> None:
        """Send what was held, in order."""
        held, self.held = self.held, deque()
        for request in held:
            self.send(request)

    def list(self, replica: Replica) -> None:
        """Let a replica take requests; the order is that of the numbers."""
        self.replicas.append(replica)
        self.replicas.sort(key=lambda listed: listed.index)


class Fleet:
    """All slots of a cluster, and the ways in which they change.

    Parameters
    ----------
    env
        The SimPy environment.
    slots
        All of them, by number.
    desks
        Who sends requests, by role.
    ready
        Called when a slot takes requests from now on.
    busy
        Tells whether a replica has anything left to do.
    note
        Writes an event of a slot.
    """

    def __init__(
        self,
        env: simpy.Environment,
        slots: Sequence[Slot],
        desks: Mapping[str, Desk],
        *,
        ready: Callable[[Slot], None],
        busy: Callable[[Replica], bool],
        note: Callable[[int, Slot], None],
    ) -> None:
        self.slots = slots
        self._env = env
        self._desks = desks
        self._ready = ready
        self._busy = busy
        self._note = note

    def serve(self, slot: Slot) -> None:
        """Let a replica take requests."""
        slot.turn(State.SERVING)
        self._desks[slot.pool.role].list(slot.replica)
        self._note(READY, slot)
        self._ready(slot)

    def start(self, slot: Slot, after_s: float) -> None:
        """Start a replica that serves after a time; it is paid for from now."""
        slot.turn(State.STARTING)
        self._note(START, slot)
        self._serve_later(slot, after_s)

    def drain(self, slot: Slot) -> None:
        """Send no more requests, and stop when those at hand have left."""
        self._desks[slot.pool.role].replicas.remove(slot.replica)
        slot.turn(State.DRAINING)
        self._note(DRAIN, slot)
        self.stop_if_done(slot)

    def stop_if_done(self, slot: Slot) -> None:
        """Stop a draining replica that has nothing left to do."""
        if slot.state is State.DRAINING and not self._busy(slot.replica):
            self.stop(slot)

    def stop(self, slot: Slot) -> None:
        """End a replica that has no requests; it is no longer paid for, and its cache is gone."""
        slot.replica.evacuate()
        slot.turn(State.STOPPED)
        self._note(STOP, slot)

    def lose(self, slot: Slot, repair_s: float | None) -> list[Request]:
        """Lose a replica with all that it holds; return its requests.

        Parameters
        ----------
        slot
            One that starts, serves or drains; the last does not return.
        repair_s
            When it serves again, s from now; None for never.
        """
        if slot.state is State.SERVING:
            self._desks[slot.pool.role].replicas.remove(slot.replica)
        returns = repair_s is not None and slot.state is not State.DRAINING
        slot.turn(State.LOST if slot.state is not State.DRAINING else State.STOPPED)
        slot.returns = returns
        requests = slot.replica.evacuate()
        if repair_s is not None and returns:
            self._serve_later(slot, repair_s)
        return requests

    def coming(self, role: str) -> bool:
        """Tell whether a replica of a role takes requests, or will."""
        return any(
            slot.state in (State.STARTING, State.SERVING)
            or (slot.state is State.LOST and slot.returns)
            or (slot.scaled and slot.state in (State.STOPPED, State.DRAINING))
            for slot in self.slots
            if slot.pool.role == role
        )

    def _serve_later(self, slot: Slot, delay_s: float) -> None:
        """Let a replica take requests after a time, unless its slot has changed by then."""
        age = slot.age

        def serve() -> None:
            if slot.age == age:
                self.serve(slot)

        Change(self._env, delay_s, serve)
