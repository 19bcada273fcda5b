"""The control study: learners and rules on a surrogate, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.control.alignment import best_order
from simulator.speculation.control.assumptions import (
    MomentReport,
    ProcessReport,
    moment_report,
    require_learnable,
)
from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.planning import Plan, plan
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.results import LearnerRun
from simulator.speculation.control.settings import LearnerSettings
from simulator.study.control.baselines import Baseline, baselines
from simulator.study.control.race import LEARNERS, Race, follow
from simulator.study.control.regret import Band, bootstrap, checkpoints
from simulator.study.control.surrogate import Surrogate
from simulator.study.control.tables import NearestSchedule, final_plan, nearest_schedule

Floats = NDArray[np.float64]

FINE, MOST_POINTS = 24, 4_000
"""Divisions of the belief grid on which the oracle's reward is bounded from above, unless that
grid would have more points; then as many as the learners' own."""

HELD_SEEDS, HELD_INTERVALS = tuple(range(10_000, 10_064)), 5_000
"""Seeds and intervals on which plans are held that no longer learn; no learner saw these seeds."""

MOST_SEEDS = 32
"""Most seeds: their intervals are kept in memory."""

MOST_INTERVALS = 2_000_000
"""Most intervals of a run, likewise."""


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """What the mixed learner believed when a plan was made.

    Parameters
    ----------
    seed, episode, interval
        When.
    observation_error, transition_error
        ``|O^ - O|_F`` and ``max_a |T_a^ - T_a|_F`` against the truth, states in the order that fits
        best; for the report alone, no learner sees them.
    visits, views
        Triples and ``sigma_S(K_31)`` by action.
    observation_sigma
        ``sigma_S(O^)``.
    disagreement
        By action how far its own moments are from all in what states show; what does not vanish
        with more data says that actions were not blind (`results.Conditioning`).
    note
        Why an older estimate stood in; empty if it did not.
    """

    seed: int
    episode: int
    interval: int
    observation_error: float
    transition_error: float
    visits: tuple[float, ...]
    views: tuple[float, ...]
    observation_sigma: float
    disagreement: tuple[float, ...]
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class ControlStudy:
    """What was found.

    Parameters
    ----------
    found
        The surrogate.
    settings
        Constants of the learners.
    process
        How the surrogate stands to the assumptions of the method.
    oracle
        The best plan of the true model on the learners' grid.
    gain
        rho, the oracle's average reward: an upper bound on a finer grid.
    rules
        Baselines with their average rewards.
    runs
        Learners by name.
    checkpoints
        Numbers of intervals at which regret is told.
    bands
        Regret by learner, means and bands at the checkpoints.
    estimates
        What the mixed learner believed.
    evidence
        How all its triples stand to the assumptions, by seed.
    learned
        The last plan of the mixed learner on its first seed: what is exported.
    held
        Average rewards of ``oracle`` and ``learned`` held without learning, by seed.
    schedule
        The per-batch schedule next to the learned plan.
    """

    found: Surrogate
    settings: LearnerSettings
    process: ProcessReport
    oracle: Plan
    gain: float
    rules: list[Baseline]
    runs: Mapping[str, LearnerRun]
    checkpoints: list[int]
    bands: Mapping[str, Band]
    estimates: list[EstimateRow]
    evidence: list[MomentReport]
    learned: Plan
    held: Mapping[str, Floats]
    schedule: NearestSchedule

    @property
    def best_fixed(self) -> Baseline:
        """The fixed draft length that earns most."""
        return max((rule for rule in self.rules if rule.fixed), key=lambda rule: rule.gain)

    @property
    def best_rule(self) -> Baseline:
        """The rule that earns most of those that change the draft length without learning."""
        return max((rule for rule in self.rules if not rule.fixed), key=lambda rule: rule.gain)

    def final_regret(self, learner: str) -> Floats:
        """Return the regret of a learner at the end, by seed."""
        run = self.runs[learner]
        return run.regret(self.found.pomdp.rewards, self.gain, self.checkpoints[-1:])[:, 0]

    def rule_regret(self, rule: Baseline) -> float:
        """Return the expected regret of a rule at the end."""
        return (self.gain - rule.gain) * self.checkpoints[-1]

    def overtakes(self, learner: str, rule: Baseline) -> int | None:
        """Return from how many intervals on the band of a learner lies below a rule's regret.

        None: not within the study. Of one seed, which has no band, its own curve is taken.
        """
        band = self.bands[learner]
        line = (self.gain - rule.gain) * np.array(self.checkpoints)
        below = np.where(np.isnan(band.high), band.mean, band.high) < line
        above = np.flatnonzero(~below)
        first = 0 if not above.size else int(above[-1]) + 1
        return self.checkpoints[first] if first < len(below) else None


def study(
    found: Surrogate,
    settings: LearnerSettings,
    *,
    seeds: Sequence[int],
    intervals: int,
    workers: int,
    advance: Callable[[int], None] = lambda done: None,
) -> ControlStudy:
    """Run learners on a surrogate and compare them with rules and the oracle.

    Parameters
    ----------
    found
        The surrogate.
    settings
        Constants of the learners.
    seeds
        Of the process and the learners.
    intervals
        Length of every run.
    workers
        Processes at most; results do not depend on it.
    advance
        Told of intervals done, over all learners and seeds.

    Raises
    ------
    SimulatorError
        If the surrogate cannot be learned, or the study is out of bounds.
    """
    if not 1 <= len(seeds) <= MOST_SEEDS or not 100 <= intervals <= MOST_INTERVALS:
        raise ConfigError(
            f"{len(seeds)} seeds of {intervals:,} intervals are out of bounds: 1 to {MOST_SEEDS} "
            f"seeds, 100 to {MOST_INTERVALS:,} intervals."
        )
    process = require_learnable(found.pomdp)
    _require_plans(settings, intervals)
    race = Race(found.pomdp, settings, tuple(LEARNERS), intervals)
    try:
        runs = race.run(seeds, workers, advance)
    except NotLearnableError as problem:
        raise NotLearnableError(
            f"{problem} Explorations are first_exploration={settings.first_exploration} and, of "
            f"seeu, explore_intervals={settings.explore_intervals}; the {found.pomdp.states} "
            "states are two for each bucket of backlog_edges."
        ) from problem
    return _judged(found, settings, process, runs)


def _require_plans(settings: LearnerSettings, intervals: int) -> None:
    """Refuse runs that end before the learners have a plan."""
    explored = {
        "mixed and sm_ucrl": ("first_exploration", settings.first_exploration),
        "seeu": ("explore_intervals", settings.explore_intervals),
    }
    for learner, (name, length) in explored.items():
        if length >= intervals:
            raise ConfigError(
                f"intervals={intervals} end before {learner} can have a plan: {name}={length} of "
                "them explore. Take more intervals, or explore less."
            )


def _judged(
    found: Surrogate,
    settings: LearnerSettings,
    process: ProcessReport,
    runs: Mapping[str, LearnerRun],
) -> ControlStudy:
    """Hold what learners did against the oracle and the rules."""
    pomdp, learned = found.pomdp, final_plan(runs["mixed"], 0)
    oracle = plan(pomdp, BeliefGrid(pomdp.states, settings.divisions))
    gain = oracle.gain
    if settings.divisions < FINE and comb(FINE + pomdp.states - 1, FINE) <= MOST_POINTS:
        gain = min(gain, plan(pomdp, BeliefGrid(pomdp.states, FINE)).gain)
    places = checkpoints(runs["mixed"].actions.shape[1])
    held = follow(pomdp, {"oracle": oracle, "learned": learned}, HELD_SEEDS, HELD_INTERVALS)
    return ControlStudy(
        found=found,
        settings=settings,
        process=process,
        oracle=oracle,
        gain=gain,
        rules=baselines(found),
        runs=runs,
        checkpoints=places,
        bands={
            name: bootstrap(run.regret(pomdp.rewards, gain, places)) for name, run in runs.items()
        },
        estimates=list(_estimates(pomdp, runs["mixed"])),
        evidence=[_evidence(pomdp, runs["mixed"], row) for row in range(len(runs["mixed"].seeds))],
        learned=learned,
        held={name: pomdp.rewards[run.observations].mean(axis=1) for name, run in held.items()},
        schedule=nearest_schedule(found, held["learned"]),
    )


def _evidence(pomdp: Pomdp, run: LearnerRun, row: int) -> MomentReport:
    """Hold all triples of a seed against the assumptions."""
    moments = TripleMoments(pomdp.actions, pomdp.symbols)
    moments.add(run.observations[row], run.actions[row])
    return moment_report(moments, pomdp.states)


def _estimates(truth: Pomdp, run: LearnerRun) -> list[EstimateRow]:
    """Return what a learner believed at every plan, held against the truth."""
    rows = []
    for seed, episodes in zip(run.seeds, run.episodes, strict=True):
        for number, episode in enumerate(episodes):
            if episode.model is None or episode.conditioning is None:
                continue
            model, known = episode.model, episode.conditioning
            order = best_order(model.observations.T, truth.observations.T)
            model = model.relabelled([int(state) for state in order])
            off = np.linalg.norm(model.transitions - truth.transitions, axis=(1, 2))
            rows.append(
                EstimateRow(
                    seed=seed,
                    episode=number,
                    interval=episode.first_interval,
                    observation_error=float(
                        np.linalg.norm(model.observations - truth.observations)
                    ),
                    transition_error=float(off.max()),
                    visits=tuple(known.visits.tolist()),
                    views=tuple(known.views.tolist()),
                    observation_sigma=float(known.observations),
                    disagreement=tuple(known.disagreement.tolist()),
                    note=episode.note,
                )
            )
    return rows
