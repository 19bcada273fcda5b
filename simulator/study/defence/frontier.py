"""All cases of a question, measured, and compared in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.mlp import one_thread
from simulator.serving.tenants.session import margins
from simulator.streams import Streams
from simulator.study.defence.laws import Probe, counted_flips, flip_probability
from simulator.study.defence.measure import Outcome, clean_accuracy, measure
from simulator.study.defence.models import NONE, trained
from simulator.study.defence.question import BARE, PEACE, Case, Question
from simulator.study.workers import in_processes
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
    outcomes
        One a replication.
    """

    case: Case
    accuracy: float
    outcomes: Sequence[Outcome]

    def values(self, figure: str) -> list[float | None]:
        """Return a figure of `measure.FIGURES`, one a replication; None where there is none."""
        return [outcome.figures.get(figure) for outcome in self.outcomes]

    def mean(self, figure: str) -> Interval | None:
        """Return the mean over the replications that have a figure."""
        values = [value for value in self.values(figure) if value is not None]
        return mean_interval(values) if values else None

    def change(self, figure: str, before: Measured) -> Interval | None:
        """Return the mean paired difference to another case."""
        pairs = zip(self.values(figure), before.values(figure), strict=True)
        values = [mine - its for mine, its in pairs if mine is not None and its is not None]
        return mean_interval(values) if values else None

    def ratio(self, figure: str, before: Measured) -> Interval | None:
        """Return the geometric mean of paired ratios to another case."""
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
        By noise; none for an attack without a perturbation size.
    """

    question: Question
    measured: Sequence[Measured]
    flips: Sequence[Flips]

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


def explore(question: Question, *, workers: int, advance: Callable[[int], None]) -> Frontier:
    """Measure all cases in all replications; the result does not depend on ``workers``.

    Parameters
    ----------
    question
        What to measure.
    workers
        Processes.
    advance
        Called with 1 after every case of a replication (`job_count` of them).
    """
    jobs = [(question, case, number) for case in question.cases for number in _numbers(question)]
    outcomes = []
    results = (
        in_processes(measure, jobs, workers, _ready, ()) if workers > 1 else map(measure, jobs)
    )
    for outcome in results:
        outcomes.append(outcome)
        advance(1)
    count, measured = question.replications, []
    for index, case in enumerate(question.cases):
        accuracy = clean_accuracy(case, question.seed)
        measured.append(Measured(case, accuracy, outcomes[index * count : (index + 1) * count]))
    return Frontier(question, measured, [_flips(question, nu) for nu in _noises(question)])


def job_count(question: Question) -> int:
    """Return how many runs `explore` makes."""
    return len(question.cases) * question.replications


def _numbers(question: Question) -> range:
    return range(question.replications)


def _noises(question: Question) -> Sequence[float]:
    """Return the noises whose flips are told: none where the attack has no perturbation."""
    return question.nus if question.tenants.attack.perturbs else ()


@one_thread
def _flips(question: Question, nu: float) -> Flips:
    model, held_out = trained(NONE, question.seed)
    mu = question.tenants.attack.reach.mu
    generator = Streams(question.seed).within("flips").block(str(nu), 0)
    rows = generator.integers(len(held_out.labels), size=FLIP_DRAWS)
    points, labels = held_out.pixels[rows], held_out.labels[rows]
    eot = question.tenants.attack.eot

    def margin(points: Floats) -> Floats:
        return margins(model.outputs(points), labels)

    counted = counted_flips(margin, points, Probe(mu, nu, eot), generator)
    return Flips(nu, mu, flip_probability(nu / mu, eot=eot), counted)


def _ready() -> None:
    """Set nothing up: every job brings what it needs."""
