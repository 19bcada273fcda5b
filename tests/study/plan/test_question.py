"""Questions that make no sense are refused before anything runs."""

import pytest

from simulator.compose import compose
from simulator.errors import ConfigError, TableError
from simulator.study.plan.cost import affordable_gpus, cost_of
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.question import Candidates, Limits, Question

BASE = ("workload=chat", "workload.rate=12")
ONE = Candidates(gpus=("h100_sxm",))


def ask(*overrides, candidates=ONE, **rest):
    words = (*BASE, *overrides)
    return Question(overrides=words, config=compose(words), candidates=candidates, **rest)


@pytest.mark.parametrize("setting", ["gpus", "gammas", "tensor_parallel", "splits"])
def test_an_empty_set_of_candidates_is_refused(setting):
    with pytest.raises(ConfigError, match=f"{setting}= is empty"):
        Candidates(**({"gpus": ("h100_sxm",)} | {setting: ()}))


def test_an_unknown_gpu_names_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'h100_sxm'"):
        Candidates(gpus=("h100",))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["slo=none"], "promised anything"),
        (["workload.rate=null"], "workload.rate is not set"),
        (["speculation.gamma=2"], "narrow its choice with gammas="),
        (["hardware.replicas=2"], "max_gpus="),
        (["cluster=autoscaled"], "cluster"),
    ],
)
def test_what_a_plan_has_no_use_for_is_refused(overrides, said):
    with pytest.raises(ConfigError, match=said):
        ask(*overrides)


def test_the_peak_hour_comes_from_the_workload_or_is_assumed():
    assert ask().peak == (1.71, "assumed: Azure's conversations of 2024")
    assert ask(peak_to_mean=3.0).peak == (3.0, "as given")


def test_classes_have_objectives_of_their_own():
    mix = "workload.mix=[{preset: chat}, {preset: reasoning, slo: {tpot_s: 0.05, share: 0.9}}]"
    found = ask("workload=mix", mix).objectives
    assert list(found) == ["chat", "reasoning"]
    assert found["reasoning"].share == 0.9


def test_who_has_no_price_comes_last_and_is_held_to_the_gpus_alone():
    question = ask(
        limits=Limits(max_gpus=64, max_usd_per_hour=10.0), usd_per_gpu_hour={"h100_sxm": 2.5}
    )
    known = Deployment(model="m", gpu="h100_sxm", tensor_parallel=4)
    unknown = Deployment(model="m", gpu="l40s")
    assert sorted([unknown, known], key=lambda one: cost_of(question, one)) == [known, unknown]
    assert affordable_gpus(question, "h100_sxm") == 4
    assert affordable_gpus(question, "l40s") == 64
