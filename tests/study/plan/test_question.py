"""Questions that make no sense are refused before anything runs."""

from dataclasses import replace
from functools import cache

import pytest

from simulator.compose import compose
from simulator.errors import ConfigError, TableError
from simulator.serving.cluster_config import AutoscalingConfig, ClusterConfig
from simulator.slo import SloConfig
from simulator.study.plan.cost import affordable_gpus, cost_of
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.question import Candidates, Effort, Limits, Question
from simulator.workload.config import SwingConfig, WorkloadConfig
from simulator.workload.mix_config import MixPartConfig

CHAT = WorkloadConfig(preset="chat", rate=12.0)


@cache
def composed():
    return compose(["slo=interactive"])


def ask(overrides=(), *, limits=None, prices=None, peak_to_mean=None, **groups):
    return Question(
        overrides=tuple(overrides),
        config=replace(composed(), **({"workload": CHAT} | groups)),
        candidates=Candidates(gpus=("h100_sxm",)),
        limits=limits or Limits(),
        usd_per_gpu_hour=prices or {},
        peak_to_mean=peak_to_mean,
    )


@pytest.mark.parametrize("setting", ["gpus", "gammas", "tensor_parallel", "splits"])
def test_an_empty_set_of_candidates_is_refused(setting):
    with pytest.raises(ConfigError, match=f"{setting}= is empty"):
        Candidates(**({"gpus": ("h100_sxm",)} | {setting: ()}))


def test_an_unknown_gpu_names_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'h100_sxm'"):
        Candidates(gpus=("h100",))


AUTOSCALED = ClusterConfig(autoscaling=AutoscalingConfig(max_replicas=4, target=20.0))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"slo": SloConfig()}, "promised anything"),
        ({"workload": replace(CHAT, rate=None)}, "workload.rate is not set"),
        ({"overrides": ["speculation.gamma=2"]}, "narrow its choice with gammas="),
        ({"overrides": ["hardware.replicas=2"]}, "max_gpus="),
        ({"cluster": AUTOSCALED}, "equal replicas that stay"),
        ({"limits": Limits(max_gpus=8), "peak_to_mean": 0.5}, "at least 1"),
    ],
    ids=["no objective", "no rate", "gamma", "replicas", "autoscaling", "peak"],
)
def test_what_a_plan_has_no_use_for_is_refused(asked, said):
    with pytest.raises(ConfigError, match=said):
        ask(**asked)


def test_the_peak_hour_comes_from_the_workload_or_is_assumed():
    swinging = replace(CHAT, swing=SwingConfig(peak_to_mean=1.9))
    assert ask().peak == (1.71, "assumed: Azure's conversations of 2024")
    assert ask(workload=swinging).peak == (1.9, "workload.swing")
    assert ask(workload=swinging, peak_to_mean=3.0).peak == (3.0, "as given")


def test_classes_have_objectives_of_their_own():
    own = SloConfig(tpot_s=0.05, share=0.9)
    parts = MixPartConfig(preset="chat"), MixPartConfig(preset="reasoning", slo=own)
    found = ask(workload=WorkloadConfig(kind="mix", mix=parts, rate=4.0)).objectives
    assert list(found) == ["chat", "reasoning"]
    assert found["reasoning"] == own


def test_who_has_no_price_comes_last_and_is_held_to_the_gpus_alone():
    question = ask(limits=Limits(max_gpus=64, max_usd_per_hour=10.0), prices={"h100_sxm": 2.5})
    known = Deployment(model="m", gpu="h100_sxm", tensor_parallel=4)
    unknown = Deployment(model="m", gpu="l40s")
    assert sorted([unknown, known], key=lambda one: cost_of(question, one)) == [known, unknown]
    assert affordable_gpus(question, "h100_sxm") == 4
    assert affordable_gpus(question, "l40s") == 64


@pytest.mark.parametrize("setting", ["confirmations", "requests"])
def test_runs_of_nothing_are_refused(setting):
    with pytest.raises(ConfigError, match=f"{setting}=0 must be at least 1"):
        Effort(**{setting: 0})
