"""From a deployment to the configuration that simulates it, without composing YAML again."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from simulator.compose import compose
from simulator.config import Config
from simulator.models.architecture import Architecture
from simulator.serving.cluster_config import DECODE, PREFILL, ClusterConfig, PoolConfig
from simulator.study.plan.deployment import THRESHOLD, Deployment, Split, precision_settings
from simulator.study.plan.question import Question


def architecture(question: Question, name: str) -> Architecture:
    """Return a model: the scenario's own, with what it changes, or another of the group."""
    if name == question.config.model.name:
        return question.config.model
    return compose([*question.base_overrides, f"model={name}"]).model


def configure(base: Config, model: Architecture, deployment: Deployment) -> Config:
    """Return the configuration of a deployment, equal to what its overrides compose.

    Parameters
    ----------
    base
        The scenario of the question.
    model
        The deployment's, in the precision of its file.
    deployment
        What is to run.

    Raises
    ------
    ConfigError
        If settings make no sense together.
    """
    formats = precision_settings(deployment.precision)
    split = deployment.split
    return replace(
        base,
        model=replace(
            model,
            dtype=formats.get("model.dtype", model.dtype),
            expert_dtype=formats.get("model.expert_dtype", model.expert_dtype),
        ),
        hardware=replace(
            base.hardware,
            gpu=deployment.gpu,
            tensor_parallel=deployment.tensor_parallel,
            data_parallel=deployment.data_parallel,
            expert_parallel=deployment.expert_parallel,
            pipeline_parallel=deployment.pipeline_parallel,
            replicas=1 if split else deployment.replicas,
        ),
        speculation=replace(
            base.speculation,
            gamma=deployment.gamma,
            policy=deployment.policy,
            schedule=[list(row) for row in deployment.schedule],
            threshold=base.speculation.threshold if deployment.policy == THRESHOLD else None,
        ),
        scheduler=replace(base.scheduler, max_num_seqs=deployment.max_num_seqs),
        cluster=base.cluster if split is None else _pools(split, deployment.replicas),
    )


def _pools(split: Split, units: int) -> ClusterConfig:
    """Return the cluster of so many units of a split."""
    pools = (
        PoolConfig(name=PREFILL, role=PREFILL, replicas=split.prefill * units),
        PoolConfig(name=DECODE, role=DECODE, replicas=split.decode * units),
    )
    return replace(_disaggregated(), pools=pools)


@cache
def _disaggregated() -> ClusterConfig:
    """Return the shipped cluster of two pools, for the link between them."""
    return compose(["cluster=disaggregated"]).cluster
