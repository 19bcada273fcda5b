"""Learners on a surrogate, seed by seed, in several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.lanes import Start, run_learners
from simulator.speculation.control.memoryless import MemorylessSpectralUcrl
from simulator.speculation.control.mixed import MixedSpectralUcrl
from simulator.speculation.control.phases import Learner, Phase, Stretch
from simulator.speculation.control.planning import Plan
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.results import LearnerRun
from simulator.speculation.control.seeu import Seeu
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.streams import Streams
from simulator.study.workers import in_processes

MakeLearner = Callable[[Known, LearnerSettings, BeliefGrid, Streams], Learner]

LEARNERS: dict[str, MakeLearner] = {
    "mixed": MixedSpectralUcrl,
    "seeu": Seeu,
    "sm_ucrl": MemorylessSpectralUcrl,
}
"""Learners by name, the subject of the study first."""


@dataclass(frozen=True, slots=True, eq=False)
class Race:
    """What runs against each other.

    Parameters
    ----------
    pomdp
        The process.
    settings
        Constants of the learners.
    learners
        Names in `LEARNERS`.
    intervals
        Length of every run.
    """

    pomdp: Pomdp
    settings: LearnerSettings
    learners: tuple[str, ...]
    intervals: int

    def run(
        self, seeds: Sequence[int], workers: int, advance: Callable[[int], None]
    ) -> dict[str, LearnerRun]:
        """Run every learner on every seed; the result does not depend on the number of workers.

        Parameters
        ----------
        seeds
            Of the process and the learners.
        workers
            Processes at most; each takes a share of the seeds.
        advance
            Told of lane-intervals done, for a progress bar.
        """
        shares = [list(share) for share in np.array_split(np.array(seeds), workers) if share.size]
        seeded = [[int(seed) for seed in share] for share in shares]
        if len(seeded) == 1:
            lanes = len(seeds) * len(self.learners)
            return self._on(seeded[0], lambda done: advance(done * lanes))
        parts = []
        for part in in_processes(self._on, seeded, len(seeded), _ready, ()):
            parts.append(part)
            advance(sum(run.actions.size for run in part.values()))
        return {name: _joined([part[name] for part in parts]) for name in self.learners}

    def _on(
        self, seeds: Sequence[int], advance: Callable[[int], None] = lambda done: None
    ) -> dict[str, LearnerRun]:
        """Run every learner on some seeds, in this process."""
        known = Known(self.pomdp.actions, self.pomdp.states, self.pomdp.rewards)
        grid = BeliefGrid(known.states, self.settings.divisions)
        starts: dict[str, Start] = {
            name: partial(_start, LEARNERS[name], known, self.settings, grid)
            for name in self.learners
        }
        return run_learners(self.pomdp, grid, starts, seeds, self.intervals, advance)


def follow(
    pomdp: Pomdp, plans: dict[str, Plan], seeds: Sequence[int], intervals: int
) -> dict[str, LearnerRun]:
    """Run plans that no longer learn, on the same draws of the process.

    Parameters
    ----------
    pomdp
        The process.
    plans
        By name, all on one grid.
    seeds, intervals
        As in `Race`.
    """
    grid = next(iter(plans.values())).table.grid
    starts: dict[str, Start] = {name: partial(_Held, plan) for name, plan in plans.items()}
    return run_learners(pomdp, grid, starts, seeds, intervals)


class _Held:
    """A learner that has learned."""

    def __init__(self, plan: Plan, streams: Streams) -> None:
        self._plan = plan

    def next(self, seen: Stretch | None) -> Phase:
        return Phase("exploit", self._plan)


def _start(
    make: MakeLearner, known: Known, settings: LearnerSettings, grid: BeliefGrid, streams: Streams
) -> Learner:
    return make(known, settings, grid, streams)


def _joined(parts: Sequence[LearnerRun]) -> LearnerRun:
    """Put the seeds of several processes together, in their order."""
    return LearnerRun(
        parts[0].learner,
        tuple(seed for part in parts for seed in part.seeds),
        np.concatenate([part.actions for part in parts]),
        np.concatenate([part.observations for part in parts]),
        tuple(episodes for part in parts for episodes in part.episodes),
    )


def _ready() -> None:
    """Set nothing up: every job brings its process."""
