"""Many learners on one process, interval by interval, side by side.

A lane is one learner on one seed. All lanes take an interval together, so that Python's own cost
is paid once per interval and not once per lane. Lanes with the same seed share the draws of the
environment (common random numbers). A lane depends on nothing but the process, its seed and its
learner, so that seeds may be spread over processes without changing a byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simulator.errors import ConfigError
from simulator.speculation.control.bank import PolicyBank
from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.phases import Learner, Phase, Stretch
from simulator.speculation.control.planning import Plan
from simulator.speculation.control.pomdp import Array, Pomdp
from simulator.speculation.control.results import Bytes, Episode, LearnerRun
from simulator.speculation.control.world import World, inside
from simulator.streams import Streams

Start = Callable[[Streams], Learner]
"""Starts a learner on a seed; all its own chance comes from the streams."""

_BLOCK = 4096
"""Intervals whose random numbers are drawn at once."""

_MOST_NAMES = 256
"""Actions or observations that a byte can tell apart."""

_MOST_NODES = 1024
"""Nodes that a controller may have."""


class _Draws(NamedTuple):
    """Random numbers of a block: for the world, for exploring at all, for the action explored."""

    world: Array
    coins: Array
    actions: Array


def run_learners(
    pomdp: Pomdp,
    grid: BeliefGrid,
    starts: Mapping[str, Start],
    seeds: Sequence[int],
    intervals: int,
    advance: Callable[[int], None] = lambda intervals: None,
) -> dict[str, LearnerRun]:
    """Run learners on a process, each on every seed.

    Parameters
    ----------
    pomdp
        The process.
    grid
        On which all plans of the learners act.
    starts
        By name of the learner.
    seeds
        Seeds, >= 0.
    intervals
        Length of every run.
    advance
        Told of intervals done, for a progress bar.

    Returns
    -------
    dict
        By name, in the order given.

    Raises
    ------
    ConfigError
        If the process has more than 256 actions or observations: each is kept as a byte.
    NotLearnableError
        If a learner cannot learn from its first exploration.
    """
    if max(pomdp.actions, pomdp.symbols) > _MOST_NAMES:
        raise ConfigError(
            f"learners run on up to {_MOST_NAMES} actions and observations, got {pomdp.actions} "
            f"and {pomdp.symbols}."
        )
    lanes = [(name, seed) for name in starts for seed in seeds]
    learners = [starts[name](Streams(seed).within(name)) for name, seed in lanes]
    race = _Race(pomdp, grid, lanes, learners, intervals)
    while race.done < intervals:
        before = race.done
        race.block()
        advance(race.done - before)
    runs = {}
    for place, name in enumerate(starts):
        own = slice(place * len(seeds), (place + 1) * len(seeds))
        runs[name] = LearnerRun(
            name,
            tuple(seeds),
            np.ascontiguousarray(race.actions[:, own].T),
            np.ascontiguousarray(race.symbols[:, own].T),
            tuple(tuple(episodes) for episodes in race.episodes[own]),
        )
    return runs


class _Race:
    """The state of `run_learners`: what all lanes did so far, and what ends their phases."""

    def __init__(
        self,
        pomdp: Pomdp,
        grid: BeliefGrid,
        lanes: Sequence[tuple[str, int]],
        learners: Sequence[Learner],
        intervals: int,
    ) -> None:
        count = len(lanes)
        self._pomdp, self._lanes, self._learners = pomdp, lanes, learners
        self._intervals, self.done = intervals, 0
        self.actions: Bytes = np.zeros((intervals, count), np.uint8)
        self.symbols: Bytes = np.zeros((intervals, count), np.uint8)
        self.episodes: list[list[Episode]] = [[] for _ in lanes]
        self._began = np.zeros(count, np.int64)
        self._exploration = np.zeros(count)
        self._intervals_left = np.zeros(count)
        self._visits_left = np.zeros((pomdp.actions, count))
        self._bank = PolicyBank(count, pomdp.actions, pomdp.symbols, grid, _MOST_NODES)
        first = [Streams(seed).block("control.start", 0).random() for _, seed in lanes]
        self._world = World(pomdp, np.array(first))
        for lane in range(count):
            self._enter(lane, None)

    def block(self) -> None:
        """Run up to a block of intervals."""
        first, last = self.done, min(self.done + _BLOCK, self._intervals)
        draws = self._draw(first // _BLOCK)
        while self.done < last:
            # No phase ends sooner: an interval takes one of each lane's visits at most.
            sure = min(self._intervals_left.min(), self._visits_left.min())
            steps = int(min(sure, last - self.done))
            self._run(steps, _Draws(*(part[self.done - first :][:steps] for part in draws)))
            self._settle(steps)

    def _run(self, steps: int, draws: _Draws) -> None:
        """Run intervals in which no phase ends."""
        bank, world, symbols_count = self._bank, self._world, self._pomdp.symbols
        explores = draws.coins < self._exploration
        actions, symbols = self.actions[self.done :], self.symbols[self.done :]
        for step in range(steps):
            taken = np.where(explores[step], draws.actions[step], bank.act())
            seen = world.step(taken, draws.world[step])
            bank.observe(taken * symbols_count + seen)
            actions[step], symbols[step] = taken, seen
        self.done += steps

    def _settle(self, steps: int) -> None:
        """Count the intervals just run, and move on the lanes whose phase is over."""
        taken = self.actions[self.done - steps : self.done]
        self._intervals_left -= steps
        for action in range(self._pomdp.actions):
            self._visits_left[action] -= np.count_nonzero(taken == action, axis=0)
        over = (self._intervals_left <= 0) | (self._visits_left <= 0).any(axis=0)
        if self.done == self._intervals:
            return
        for lane in np.flatnonzero(over).tolist():
            own = slice(self._began[lane], self.done)
            seen = Stretch(self.symbols[own, lane], self.actions[own, lane])
            self._enter(lane, seen)

    def _next(self, lane: int, seen: Stretch | None) -> Phase:
        """Ask a learner for its next phase; say which one it was that could not learn."""
        try:
            return self._learners[lane].next(seen)
        except NotLearnableError as problem:
            name, seed = self._lanes[lane]
            raise NotLearnableError(f"{name}, seed {seed}: {problem}") from problem

    def _enter(self, lane: int, seen: Stretch | None) -> None:
        """Have a lane go on with what its learner makes of the phase that is over."""
        phase = self._next(lane, seen)
        self._began[lane] = self.done
        self._exploration[lane] = phase.exploration
        self._intervals_left[lane] = np.inf if phase.intervals is None else phase.intervals
        self._visits_left[:, lane] = np.inf if phase.visits is None else phase.visits
        past = slice(0, self.done)
        self._bank.load(lane, phase.policy, self.actions[past, lane], self.symbols[past, lane])
        plan = phase.policy if isinstance(phase.policy, Plan) else None
        self.episodes[lane].append(
            Episode(
                first_interval=self.done,
                purpose=phase.purpose,
                model=plan.model if plan else None,
                table=plan.table if plan else None,
                gain=plan.gain if plan else None,
                conditioning=phase.conditioning,
                note=phase.note,
            )
        )

    def _draw(self, block: int) -> _Draws:
        """Draw the random numbers of a block, by interval and lane."""
        world, coins, actions = [], [], []
        for name, seed in self._lanes:
            own = Streams(seed).within(name).block("control.exploration", block)
            world.append(Streams(seed).block("control.world", block).random(_BLOCK))
            coins.append(own.random(_BLOCK))
            actions.append(own.integers(0, self._pomdp.actions, _BLOCK))
        return _Draws(inside(np.stack(world, axis=1)), np.stack(coins, 1), np.stack(actions, 1))
