"""All cases of a question, measured, and compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.mlp import one_thread
from simulator.serving.tenants.session import margins
from simulator.streams import Streams
from simulator.study.defence.figures import WITHOUT_RATIO
from simulator.study.defence.laws import Probe, counted_flips, flip_probability
from simulator.study.defence.measure import Outcome, measure, without_attack
from simulator.study.defence.models import NONE, trained
from simulator.study.defence.question import BARE, PEACE, Case, Question
from simulator.study.defence.variants import Tried, try_out, variant_jobs
from simulator.study.executors.in_order import Workers
from simulator.trace.statistics import Interval, mean_interval, paired_ratio

Floats = NDArray[np.float64]

FLIP_DRAWS = 20_000
"""Directions by which flips are counted."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A case over all replications.

    Parameters
    ----------
    case
        Which.
    accuracy
        Clean accuracy of its model behind its noise.
    misled
        Share of what attackers choose from that the noise alone makes wrong by majority.
    outcomes
        One a replication.
    """

    case: Case
    accuracy: float
    misled: float
    outcomes: Sequence[Outcome]

    def values(self, figure: str) -> list[float | None]:
        """Return a figure of `figures.FIGURES`, one a replication; None where there is none."""
        return [outcome.figures.get(figure) for outcome in self.outcomes]

    def mean(self, figure: str) -> Interval | None:
        """Return the mean over replications; None unless all have the figure.

        Those that have it are no fair choice: where sessions are cut off, they are the short ones.
        """
        return _mean(self.values(figure))

    def change(self, figure: str, before: Measured) -> Interval | None:
        """Return the mean paired difference to another case; None as for `mean`."""
        pairs = zip(self.values(figure), before.values(figure), strict=True)
        return _mean([None if mine is None or its is None else mine - its for mine, its in pairs])

    def ratio(self, figure: str, before: Measured) -> Interval | None:
        """Return the geometric mean of paired ratios to another case; None for `WITHOUT_RATIO`.

        Pairs with a zero have no ratio; to leave them out would bias what may be zero.
        """
        if figure in WITHOUT_RATIO:
            return None
        return paired_ratio(self.values(figure), before.values(figure))


@dataclass(frozen=True, slots=True)
class Flips:
    """How often noise misleads one comparison of the attacker, on the plain model.

    Parameters
    ----------
    nu, mu
        Noise, and the attacker's perturbation.
    law, counted
        By `laws.flip_probability`, and on the model.
    """

    nu: float
    mu: float
    law: float
    counted: float


@dataclass(frozen=True, slots=True)
class Frontier:
    """What a study found.

    Parameters
    ----------
    question
        What was asked.
    measured
        All cases, in the order of the question: peace first, then attacks without defence or limit.
    flips
        By noise; none for an attack that does not compare as the law has it.
    tried
        Variants of the attack, noise by noise in the order of the question.
    """

    question: Question
    measured: Sequence[Measured]
    flips: Sequence[Flips]
    tried: Sequence[Tried]

    @property
    def peace(self) -> Measured:
        """Without attackers."""
        return self.of(PEACE)

    @property
    def bare(self) -> Measured:
        """Attacked, without defence or limit."""
        return self.of(BARE)

    def of(self, case: Case) -> Measured:
        """Return what was measured of a case."""
        return next(one for one in self.measured if one.case == case)

    def tried_on(self, defence: str, nu: float) -> list[Tried]:
        """Return what variants of the attack came to on a defence."""
        return [one for one in self.tried if (one.defence, one.nu) == (defence, nu)]


def explore(question: Question, workers: Workers) -> Frontier:
    """Measure all cases in all replications; the result does not depend on the workers.

    Parameters
    ----------
    question
        What to measure.
    workers
        Who does it, told of every run (`job_count` of them).
    """
    runs = [
        (question, case, number)
        for case in question.cases
        for number in range(question.replications)
    ]
    outcomes = workers.run(measure, runs)
    tried = workers.run(try_out, variant_jobs(question))
    clean = {noise: without_attack(*noise, question.seed) for noise in question.noises}
    count, measured = question.replications, []
    for index, case in enumerate(question.cases):
        found = outcomes[index * count : (index + 1) * count]
        measured.append(Measured(case, *clean[case.defence, case.nu], found))
    perturbed = question.tenants.attack.perturbed
    flips = [_flips(question, nu) for nu in question.nus] if perturbed else []
    return Frontier(question, measured, flips, tried)


def job_count(question: Question) -> int:
    """Return how many runs `explore` makes."""
    return len(question.cases) * question.replications + len(variant_jobs(question))


def _mean(values: Sequence[float | None]) -> Interval | None:
    known = [value for value in values if value is not None]
    return mean_interval(known) if known and len(known) == len(values) else None


@one_thread
def _flips(question: Question, nu: float) -> Flips:
    model, held_out = trained(NONE, question.seed)
    attack = question.tenants.attack
    mu, eot, two_sided = attack.reach.mu, attack.eot, attack.perturbed == 2
    generator = Streams(question.seed).within("flips").block(str(nu), 0)
    rows = generator.integers(len(held_out.labels), size=FLIP_DRAWS)
    points, labels = held_out.pixels[rows], held_out.labels[rows]

    def margin(points: Floats) -> Floats:
        return margins(model.outputs(points), labels)

    probe, law = Probe(mu, nu, eot), flip_probability(nu / mu, eot=eot, two_sided=two_sided)
    return Flips(nu, mu, law, counted_flips(margin, points, probe, generator, two_sided=two_sided))
