"""Makes the jobs of a question: deployments at a load, with the search's seed or another."""

from __future__ import annotations

import math
from dataclasses import replace

from simulator.config import Config, RunConfig
from simulator.models.architecture import Architecture
from simulator.study.plan.configure import architecture, configure
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.horizon import Horizon
from simulator.study.plan.job import Job
from simulator.study.plan.question import Question

SCREENED_REQUESTS = 8192
"""Requests whose lengths a screening looks at."""


BEGINNING = 0.25
"""Share of a run that a glance sees. Assumed: enough for a queue where the load is far too high."""


class Variants:
    """The scenario of a question, as each deployment would serve it.

    Parameters
    ----------
    question
        What is asked.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self._steady = steady(question.config)
        self._models: dict[str, Architecture] = {}

    def config(self, deployment: Deployment) -> Config:
        """Return the configuration of a deployment, at the question's rate all the time."""
        model = self._models.get(deployment.model)
        if model is None:
            model = self._models[deployment.model] = architecture(self.question, deployment.model)
        return configure(self._steady, model, deployment)

    def screening(self, deployment: Deployment) -> Job:
        """Return the job that prices a deployment of one replica or unit."""
        run = RunConfig(seed=self._steady.run.seed, replications=1, requests=SCREENED_REQUESTS)
        return Job(replace(self.config(deployment), run=run), None)


class Bench:
    """Where deployments are put to the test.

    All see the same arrivals, lengths and acceptance draws of a replication, at another rate in
    quicker succession: these come from seed and replication alone.

    Parameters
    ----------
    variants
        The configurations of deployments.
    horizon
        How long runs are.
    """

    def __init__(self, variants: Variants, horizon: Horizon) -> None:
        self.variants, self.horizon = variants, horizon
        self.question = variants.question

    def with_horizon(self, horizon: Horizon) -> Bench:
        """Return the bench with runs of another length."""
        return Bench(self.variants, horizon)

    def simulation(
        self, deployment: Deployment, rate: float, replication: int, seed: int | None = None
    ) -> Job:
        """Return the job that simulates a replication.

        Parameters
        ----------
        deployment
            What runs.
        rate
            Mean requests/s.
        replication
            Which.
        seed
            Another seed than the scenario's, for a look with fresh eyes.
        """
        config = self.variants.config(deployment)
        run = RunConfig(
            seed=config.run.seed if seed is None else seed,
            replications=1,
            requests=self.horizon.requests(rate),
            warmup_fraction=self.horizon.warmup_fraction,
        )
        return Job(
            replace(config, workload=replace(config.workload, rate=rate), run=run), replication
        )

    def beginning(self, deployment: Deployment, rate: float) -> Job:
        """Return the job that simulates the beginning of the first replication, warm-up and all."""
        job = self.simulation(deployment, rate, 0)
        requests = math.ceil(BEGINNING * job.config.run.requests)
        run = replace(job.config.run, requests=requests, warmup_fraction=0.0)
        return replace(job, config=replace(job.config, run=run))


def steady(config: Config) -> Config:
    """Return a scenario whose load neither swings nor follows the hours: the mean, all the time."""
    return replace(config, workload=replace(config.workload, swing=None, diurnal=None))
