"""Events that change the cluster, before all else that happens at the same instant."""

from __future__ import annotations

from collections.abc import Callable

import simpy
from simpy.events import URGENT


class Change(simpy.Event):
    """Calls something after a delay, ahead of the steps, arrivals and transfers of that instant.

    So a replica that is lost when a step would end loses the step, and one that is ready when a
    request arrives may serve it. Changes of one instant happen in the order of their making.

    Parameters
    ----------
    env
        The SimPy environment.
    delay_s
        From now, s, >= 0.
    action
        What to call.

    Examples
    --------
    >>> env, seen = simpy.Environment(), []
    >>> env.timeout(2.0).callbacks.append(lambda _: seen.append("step"))
    >>> _ = Change(env, 2.0, lambda: seen.append("loss"))
    >>> env.run()
    >>> seen
    ['loss', 'step']
    """

    def __init__(self, env: simpy.Environment, delay_s: float, action: Callable[[], None]) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.callbacks.append(lambda _: action())
        env.schedule(self, URGENT, delay_s)
