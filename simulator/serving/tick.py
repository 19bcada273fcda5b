"""A timeout for a process that waits for one after another."""

from __future__ import annotations

import simpy


class Tick(simpy.Event):
    """An event that is scheduled again whenever it has passed.

    A process that sleeps, works and sleeps again needs no new `simpy.Timeout` every time; without
    one an event of SimPy takes 60 % of its time. Whoever is interrupted while waiting needs a new
    tick: the old one is still to come.

    Parameters
    ----------
    env
        The environment.

    Examples
    --------
    >>> def sleeper(env, tick):
    ...     for delay_s in (1.0, 2.5):
    ...         yield tick.after(delay_s)
    ...         print(env.now)
    >>> env = simpy.Environment()
    >>> _ = env.process(sleeper(env, Tick(env)))
    >>> env.run()
    1.0
    3.5
    """

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None

    def after(self, delay_s: float) -> Tick:
        """Happen after a delay, s; not while it is to come from an earlier call."""
        self.callbacks = []
        self.env.schedule(self, delay=delay_s)
        return self
