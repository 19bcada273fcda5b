"""A deployment's configuration is what its overrides compose, and all models can be named."""

from functools import cache

import pytest

from simulator.compose import compose
from simulator.models.catalog import load_architecture, model_names
from simulator.study.plan.configure import configure
from simulator.study.plan.deployment import Deployment, Split

DEPLOYMENTS = {
    "drafts": Deployment(
        model="qwen3_235b_a22b",
        gpu="b200_sxm",
        precision="fp8/nvfp4",
        tensor_parallel=2,
        data_parallel=4,
        expert_parallel=8,
        gamma=3,
        policy="batch_schedule",
        schedule=((1, 16, 3), (17, 256, 0)),
        max_num_seqs=512,
        replicas=3,
    ),
    "split": Deployment(
        model="qwen3_30b_a3b",
        gpu="l40s",
        precision="fp8",
        tensor_parallel=2,
        gamma=1,
        split=Split(1, 3),
        replicas=2,
    ),
}


@cache
def base():
    return compose(["workload.rate=12"])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_is_what_its_overrides_compose(name):
    deployment = DEPLOYMENTS[name]
    found = configure(base(), load_architecture(deployment.model), deployment)
    assert found == compose(["workload.rate=12", *deployment.overrides])


def test_models_are_named_as_their_files():
    assert [load_architecture(name).name for name in model_names()] == model_names()


def test_gpus_of_a_split_are_those_of_its_pools():
    split = DEPLOYMENTS["split"]
    assert (split.unit_gpus, split.gpus) == (8, 16)
    assert not split.without_speculation().speculates
