"""The whole search on small questions, and what bounds and brute force say of it."""

from dataclasses import replace
from functools import cache

import pytest
from helpers.suites import some

from simulator.compose import compose
from simulator.errors import ConfigError
from simulator.slo import SloConfig
from simulator.study.executors import open_executor
from simulator.study.plan.bench import Variants
from simulator.study.plan.cheapest import Design
from simulator.study.plan.job import simulate
from simulator.study.plan.question import Candidates, Effort, Limits, Question
from simulator.study.plan.screening import screen
from simulator.study.plan.search import search
from simulator.study.plan.space import deployments
from simulator.study.plan.survey import bench_of

MODEL = "qwen3_30b_a3b"
SLO = SloConfig(ttft_s=0.45, tpot_s=0.04, share=0.95)


@cache
def config():
    """Short answers on a small model: a run takes a fraction of a second."""
    found = compose(["workload=chat", "workload.max_output_tokens=64"])
    return replace(found, slo=SLO)


def question(rate, *, slo=SLO, requests=240, gpus=("h100_sxm",), limits=None, cache=None, **rest):
    asked = replace(config(), slo=slo)
    return Question(
        overrides=("workload=chat", "workload.max_output_tokens=64"),
        config=replace(asked, workload=replace(asked.workload, rate=rate)),
        candidates=Candidates(gpus=gpus, **({"data_parallel": (1,)} | rest)),
        limits=limits or Limits(max_gpus=16),
        effort=Effort(replications=2, requests=requests, confirmations=2, workers=1, cache=cache),
        usd_per_gpu_hour={"h100_sxm": 2.5},
    )


def answer(asked):
    with open_executor("processes") as executor:
        return search(asked, executor, lambda _: None)


def space(asked):
    return list(deployments(asked.candidates, {MODEL: asked.config.model}, (256,)))


def held_by_replication(bench, deployment, rate):
    """What the decision would be if both replications were always run, class by class."""
    outcomes = []
    for number in range(2):
        job = bench.simulation(deployment, rate, number)
        outcomes.append(simulate(job.config, number))
    shares = [outcome.classes[0].attainment for outcome in outcomes]
    return sum(shares) / len(shares) >= bench.question.config.slo.share


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """What is answered where even a request alone is too slow."""
    asked = question(4.0, slo=SloConfig(tpot_s=0.001), tensor_parallel=(1,), gammas=(0, 3))
    return answer(asked)


def test_an_objective_that_nothing_can_meet(nothing):
    assert nothing.best is None
    assert nothing.confirmation is None
    assert {one.kind for one in nothing.rejected} == {"objective"}
    assert nothing.counts.simulated == 0
    assert "even for a request alone" in nothing.nearest_miss.reason
    # With drafts a token comes sooner, so that is what comes closest.
    assert nothing.nearest_miss.deployment.gamma == 3


def test_a_model_that_fits_nowhere():
    asked = question(4.0, gpus=("l40s",), tensor_parallel=(1,), gammas=(0,))
    miss = answer(asked).nearest_miss
    assert "NVIDIA L40S" in miss.reason
    assert any("2 GPUs a replica" in one for one in miss.takes)
    assert any("fp8" in one for one in miss.takes)


def test_sizes_that_split_no_model():
    with pytest.raises(ConfigError, match="none of tensor_parallel=3"):
        answer(question(4.0, tensor_parallel=(3,)))


def test_limits_that_are_too_tight():
    asked = question(5000.0, tensor_parallel=(1,), gammas=(0,), limits=Limits(max_gpus=2))
    found = answer(asked)
    assert found.counts.pruned == 1
    assert found.counts.simulated == 0
    assert "limits allow 2 GPUs" in found.nearest_miss.reason


BOUNDED = {
    "cards": {"tensor_parallel": (1,), "gammas": (0, 3)},
    "groups": {"tensor_parallel": (1,), "data_parallel": (4,), "gammas": (0, 3)},
    "tokens": {"tensor_parallel": (2,), "gammas": (0, 1), "slo": SloConfig(tpot_s=0.012)},
    "prompts": {"tensor_parallel": (1, 4), "gammas": (0,), "slo": SloConfig(ttft_s=0.3)},
}


@pytest.mark.parametrize("case", some(BOUNDED, "cards"))
def test_no_simulation_exceeds_the_bound(case):
    """A little beyond the bound of one replica the objective is missed."""
    asked = question(60.0, requests=600, **BOUNDED[case])
    variants = Variants(asked)
    for deployment in space(asked):
        screening = screen(variants.screening(deployment).config)
        bench = bench_of(variants, [Design(deployment, screening)])
        assert screening.likely_rate <= screening.bound_rate
        beyond = 1.02 * screening.bound_rate
        assert not held_by_replication(bench, deployment, beyond)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [40.0, 150.0])
def test_the_cheapest_is_that_of_brute_force(rate, tmp_path):
    """Every deployment and every number of replicas, against branch and bound."""
    asked = question(rate, tensor_parallel=(1, 2), gammas=(0, 3), requests=300, cache=tmp_path)
    found = answer(asked)
    variants = Variants(asked)
    bench = bench_of(
        variants,
        [Design(one, screen(variants.screening(one).config)) for one in space(asked)],
    )
    needed = []
    for deployment in space(asked):
        for replicas in range(1, 17 // deployment.unit_gpus):
            if held_by_replication(bench, deployment.with_replicas(replicas), rate):
                needed.append(replicas * deployment.unit_gpus)
                break
    # Fresh seeds may refute what holds in the replications that brute force saw.
    first, *_ = (*found.confirmation.failed, found.confirmation.top)
    assert first.deployment.gpus == min(needed)
    again = answer(asked)
    assert again.offers == found.offers
    assert again.counts.simulated == 0
