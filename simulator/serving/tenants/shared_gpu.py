"""A GPU on which an LLM replica and the endpoint compute at the same time."""

from __future__ import annotations

import math
from functools import partial

import simpy


class Party:
    """One of two that compute on a GPU; to a replica it is what waits its steps out.

    Parameters
    ----------
    gpu
        Where.
    share
        What it gets of the GPU while the other computes, in (0, 1).
    """

    def __init__(self, gpu: SharedGpu, share: float) -> None:
        self._gpu = gpu
        self.share = share
        self.left_s = math.inf
        """What is left of its work, in seconds that it takes alone; infinite if it has none."""
        self.done: simpy.Event | None = None

    def follow(self, duration_s: float) -> simpy.Event:
        """Start work that takes so long alone; return what happens at its end."""
        return self._gpu.begin(self, duration_s)

    def abandon(self) -> None:
        """Forget the work under way, if there is any."""
        self._gpu.drop(self)


class SharedGpu:
    """Shares a GPU between a replica and a server of the endpoint.

    Weighted processor sharing: while both compute, each goes on at its share of its own speed;
    whoever is alone goes on at full speed. That is how CUDA's time slices, or MPS with equal
    demands, behave to first order; what two processes do to each other's caches is left out. A
    replica on several GPUs is slowed as a whole, since its ranks wait for the one that is shared.

    Parameters
    ----------
    env
        The SimPy environment.
    guest_share
        Of the endpoint, in (0, 1).
    """

    def __init__(self, env: simpy.Environment, guest_share: float) -> None:
        self._env = env
        self.replica = Party(self, 1.0 - guest_share)
        self.server = Party(self, guest_share)
        self._counted_s = 0.0
        self._plan = 0
        """Number of what is planned: what was planned earlier is void."""

    def begin(self, party: Party, duration_s: float) -> simpy.Event:
        """Give a party work."""
        self._count()
        party.left_s, done = duration_s, self._env.event()
        party.done = done
        self._plan_next()
        return done

    def drop(self, party: Party) -> None:
        """Take its work from a party."""
        self._count()
        party.left_s, party.done = math.inf, None
        self._plan_next()

    def _speed(self, party: Party) -> float:
        other = self.server if party is self.replica else self.replica
        return 1.0 if other.done is None else party.share

    def _count(self) -> None:
        """Take off what was done since this was last called."""
        passed_s, self._counted_s = self._env.now - self._counted_s, self._env.now
        for party in (self.replica, self.server):
            if party.done is not None:
                party.left_s -= passed_s * self._speed(party)

    def _plan_next(self) -> None:
        """Plan the end of what ends next as things are."""
        self._plan += 1
        working = [party for party in (self.replica, self.server) if party.done is not None]
        if not working:
            return
        ends = [(party.left_s / self._speed(party), index) for index, party in enumerate(working)]
        after_s, index = min(ends)
        timeout = self._env.timeout(max(0.0, after_s))
        timeout.callbacks.append(partial(self._end, self._plan, working[index]))

    def _end(self, plan: int, party: Party, _: simpy.Event) -> None:
        if plan != self._plan or party.done is None:
            return
        self._count()
        done, party.done, party.left_s = party.done, None, math.inf
        done.succeed()
        self._plan_next()
