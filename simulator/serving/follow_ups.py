"""Requests that follow others: the turns of a session in a closed loop."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable

import simpy

from simulator.errors import InvariantError
from simulator.serving.request import Request


class FollowUps:
    """Sends a request some time after the one that it follows has left.

    However that one left: a client whose request was refused, lost or given up thinks as long, and
    goes on with the turns it was to have, as if it had found its answer elsewhere. So every request
    of a workload arrives in every run, and runs can be compared request by request.

    It remembers when requests left, 8 bytes each, since nothing says whether another will follow.

    Parameters
    ----------
    env
        The SimPy environment.
    send
        Sends a request now.
    """

    def __init__(self, env: simpy.Environment, send: Callable[[Request], None]) -> None:
        self._env = env
        self._send = send
        self._left_s = array("d")
        self._waiting: dict[int, list[Request]] = {}

    def come(self, request: Request) -> None:
        """Take a request at its earliest arrival; it is sent now, or when its time has come.

        Raises
        ------
        InvariantError
            If it follows one that is yet to come: it might wait for ever.
        """
        follows = request.traits.follows
        if follows is None or follows < 0:
            self._send(request)
        elif follows >= request.request_id:
            raise InvariantError(f"request {request.request_id} follows {follows}, a later one.")
        elif follows < len(self._left_s) and not math.isnan(left_s := self._left_s[follows]):
            self._send_at(left_s + request.traits.think_s, request)
        else:
            self._waiting.setdefault(follows, []).append(request)

    def left(self, request: Request) -> None:
        """Note that a request has left, and let those that follow it come after their time."""
        number, known = request.request_id, self._left_s
        if number >= len(known):
            known.extend([math.nan] * (number + 1 - len(known)))
        known[number] = now_s = self._env.now
        for follower in self._waiting.pop(number, ()):
            self._send_at(now_s + follower.traits.think_s, follower)

    def _send_at(self, time_s: float, request: Request) -> None:
        """Send a request at a time, from an event of its own, or now if that is past.

        One that is refused leaves in the act of being sent: an event of its own keeps a session
        without time to think from sending all its turns from within one another.
        """
        event = self._env.timeout(max(0.0, time_s - self._env.now))
        event.callbacks.append(lambda _: self._send(request))
