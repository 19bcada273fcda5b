"""A deployment as it is served: its commands under each engine, for a plan's rows."""

from __future__ import annotations

import shlex

from simulator.compose import compose
from simulator.config import Config
from simulator.scenario import build
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.exports.command import Export
from simulator.study.plan.exports.drafting import SCHEDULE
from simulator.study.plan.exports.servers import servers
from simulator.study.plan.exports.sglang import sglang
from simulator.study.plan.exports.vllm import vllm
from simulator.study.plan.result import Plan
from simulator.study.policies.arms import derived_schedule

COST_MODEL = "cost_model"
"""The policy that a table by batch size comes closest to."""


def reproduces(plan: Plan, deployment: Deployment) -> str:
    """Return the command line that simulates a deployment as the search did."""
    return shlex.join(["moesim", "simulate", *plan.command(deployment)])


def started(plan: Plan) -> dict[Deployment, dict[str, Export]]:
    """Return how each offer of a plan is started, by engine."""
    return {offer.deployment: served(plan, offer.deployment) for offer in plan.offers}


def served(plan: Plan, deployment: Deployment) -> dict[str, Export]:
    """Return how a deployment is started, by the engine's name in ``hardware_specs/engines``."""
    config = compose([*plan.question.base_overrides, *deployment.overrides])
    started = servers(config)
    return {"vllm": vllm(started, _schedule(config)), "sglang": sglang(started)}


def _schedule(config: Config) -> list[list[int]]:
    """Return the table of draft lengths by batch size that stands for a policy, if one can."""
    if config.speculation.policy == SCHEDULE:
        return config.speculation.schedule
    if config.speculation.policy == COST_MODEL:
        return derived_schedule(build(config))
    return []
