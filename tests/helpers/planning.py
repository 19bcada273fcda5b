"""A test bench for the searches of a plan whose simulations are answered by a formula."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

from simulator.slo import SloConfig
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.horizon import Horizon
from simulator.study.plan.outcome import ClassSeen, Missed, Outcome, Percentiles
from simulator.study.plan.question import Effort

REQUESTS = 2000
NO_LATENCY = Percentiles(p50=None, p90=None, p99=None)


@dataclass
class Asked:
    """A simulation that was asked for."""

    deployment: Deployment
    rate: float
    replication: int


@dataclass
class FormulaBench:
    """Makes jobs that `drive` answers; counts what was asked for."""

    target_rate: float = 10.0
    objectives: dict[str, SloConfig] = field(default_factory=lambda: {"all": SloConfig(tpot_s=0.1)})
    effort: Effort = field(default_factory=Effort)
    horizon: Horizon = field(default_factory=lambda: Horizon(100.0, 0.5))
    asked: list[Asked] = field(default_factory=list)

    @property
    def question(self):
        return SimpleNamespace(
            target_rate=self.target_rate,
            objectives=self.objectives,
            effort=self.effort,
            peak=(1.5, "as given"),
        )

    def simulation(self, deployment, rate, replication, seed=None):
        self.asked.append(Asked(deployment, rate, replication))
        return self.asked[-1]

    def with_horizon(self, horizon):
        return self

    def beginning(self, deployment, rate):
        return self.simulation(deployment, rate, 0)


def seen(attained, requests=REQUESTS, **missed):
    """One class: so many of its requests met their objective."""
    counts = dict.fromkeys(("ttft_s", "tpot_s", "e2e_s"), 0) | missed
    return ClassSeen(
        requests=requests,
        attained=round(attained * requests),
        missed=Missed(**counts),
        ttft_s=NO_LATENCY,
        tpot_s=NO_LATENCY,
        e2e_s=NO_LATENCY,
    )


def outcome(*attained, **figures):
    """A run in which each class met its objective with a share."""
    defaults = {
        "saturated": False,
        "overloaded": False,
        "tpot_p50_s": 0.05,
        "output_tokens_per_s": 1000.0,
        "utilisation": 0.9,
        "mean_batch": 10.0,
        "kv_usage": 0.3,
        "kv_usage_peak": 0.4,
        "acceptance_length": 2.0,
    }
    classes = tuple(one if isinstance(one, ClassSeen) else seen(one) for one in attained)
    return Outcome(classes=classes, **(defaults | figures))


def drive(search, answer):
    """Run a search to its end; ``answer`` turns what was asked for into an `Outcome`."""
    try:
        jobs = next(search)
        while True:
            jobs = search.send([answer(job).to_json() for job in jobs])
    except StopIteration as end:
        return end.value


def by_capacity(capacity_per_s):
    """Answer as if a replica held its objectives up to a rate, sharply."""

    def answer(asked):
        each = capacity_per_s(asked.deployment)
        return outcome(1.0 if asked.rate <= each * asked.deployment.replicas + 1e-9 else 0.5)

    return answer
