"""What fresh seeds refute: the next takes its place, and nothing refuted is offered."""

from dataclasses import dataclass, field
from types import SimpleNamespace

from helpers.planning import FormulaBench, drive, outcome

from simulator.study.plan.answer import Findings, _offers
from simulator.study.plan.cheapest import Design
from simulator.study.plan.decide import assess
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.nearest import nearest_refuted
from simulator.study.plan.question import Effort, Limits
from simulator.study.plan.screening import Screening
from simulator.study.plan.search import _confirm, _hunt

TARGET = 10.0
RATES = {0: 5.0, 1: 5.4, 3: 4.0}
"""Requests/s a replica in the search, by draft length: two replicas hold at 0 and 1, three at 3."""

LIKELY = {0: 6.0, 1: 5.5, 3: 4.0}
"""What the closed form takes them to be: it puts 0 first, and 1 turns out to have more to spare."""


@dataclass
class Seeded(FormulaBench):
    """A bench whose fresh seeds find some deployments too slow."""

    limits: Limits = field(default_factory=lambda: Limits(max_gpus=8))

    @property
    def question(self):
        given = super().question
        return SimpleNamespace(
            **vars(given),
            config=SimpleNamespace(run=SimpleNamespace(seed=0)),
            candidates=SimpleNamespace(gpus=("h100_sxm",)),
            limits=self.limits,
            usd_per_gpu_hour={},
            usd_per_hour=lambda gpu, gpus: None,
        )

    def simulation(self, deployment, rate, replication, seed=None):
        asked = super().simulation(deployment, rate, replication, seed)
        return SimpleNamespace(**vars(asked), seed=seed)


class Answers:
    """Answers jobs: what `refuted` says fails under a seed that the search has not seen."""

    def __init__(self, refuted):
        self._refuted = refuted

    def results(self, jobs):
        return [self.answer(job).to_json() for job in jobs]

    def answer(self, job):
        fails = job.seed is not None and job.deployment in self._refuted
        capacity = RATES[job.deployment.gamma] * job.deployment.replicas
        return outcome(0.5 if fails or job.rate > capacity else 1.0)


def designs():
    return [
        Design(
            Deployment(model="m", gpu="h100_sxm", gamma=gamma),
            Screening(bound_rate=1.2 * likely, likely_rate=likely),
        )
        for gamma, likely in LIKELY.items()
    ]


def deployment(gamma, replicas):
    return Deployment(model="m", gpu="h100_sxm", gamma=gamma, replicas=replicas)


def searched(refuted, **limits):
    bench = Seeded(target_rate=TARGET, effort=Effort(confirmations=2), **limits)
    runs, found = Answers(refuted), Findings(designs=designs())
    _hunt(bench, runs, found)
    _confirm(bench, runs, found)
    return bench, found


def test_its_equal_comes_before_a_replica_more():
    _, found = searched({deployment(1, 2)})
    assert [one.deployment for one in found.refuted] == [deployment(1, 2)]
    assert found.confirmation.top.deployment == deployment(0, 2)


def test_every_refuted_row_is_refuted_once_and_none_is_offered():
    both = {deployment(0, 2), deployment(1, 2)}
    bench, found = searched(both)
    assert {one.deployment for one in found.refuted} == both
    assert len(found.refuted) == 2
    assert found.confirmation.top.deployment.replicas == 3
    assert not both & {offer.deployment for offer in _offers(bench.question, found)}


def test_where_the_limits_end_what_was_refuted_comes_closest():
    both = {deployment(0, 2), deployment(1, 2)}
    bench, found = searched(both, limits=Limits(max_gpus=2))
    assert found.confirmation is None
    miss = nearest_refuted(bench.question, found.refuted)
    assert (miss.deployment in both, miss.attainment) == (True, {"all": 0.5})
    assert "likely 3 x h100_sxm" in miss.takes[0]
    assert not any(offer.meets for offer in _offers(bench.question, found))


def test_a_row_whose_equal_was_refuted_does_not_bring_it_back():
    """Three replicas at 3 held; at 1 they have more to spare, but not under fresh seeds."""
    refuted = {deployment(0, 2), deployment(1, 2), deployment(1, 3)}
    bench, runs = Seeded(target_rate=TARGET, effort=Effort(confirmations=2)), Answers(refuted)
    found = Findings(designs=designs())
    _hunt(bench, runs, found)
    dearer = drive(assess(bench, deployment(3, 3), TARGET), runs.answer)
    found.hunts[0].held.append(dearer)
    _confirm(bench, runs, found)
    assert len(found.refuted) == len(refuted)
    assert found.confirmation.top.deployment == deployment(0, 3)
