"""``moesim plan`` as typed; the search itself is stood in for by plans that are made up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import plans

from simulator.commands import plan as command
from simulator.commands.plan import NOTHING_HOLDS, Settings, cache_folder, question
from simulator.hardware.prices import load_prices


@pytest.fixture
def answered(monkeypatch):
    """Let the search answer with a plan that is made up; return what it was asked."""
    asked = []

    def stand_in(made):
        def search(one, executor):
            asked.append(one)
            return replace(made, question=one)

        monkeypatch.setattr(command, "_search", search)
        return asked

    return stand_in


RATE = ["workload.rate=2"]
GPUS = "gpus=h200_sxm,b300_sxm,h100_sxm"


@pytest.fixture
def short():
    """A plan with one offer, quick to write."""
    return plans.plan(offers=(plans.offer(plans.H200),))


def test_a_plan_is_shown_saved_and_followed_by_the_next_command(moesim, answered, short):
    asked = answered(short)
    code, out, err = moesim("plan", *plans.OVERRIDES, GPUS, "hydra.run.dir=here")
    assert (code, err) == (0, "")
    shown = " ".join(out.split())
    assert "every objective holds, for 75.7 USD an hour" in shown
    assert "moesim report here" in shown
    files = {
        "plan.json",
        "offers.parquet",
        "latencies.parquet",
        "pareto.parquet",
        "pareto_front.png",
    }
    files |= {"rejected.parquet", "serve-vllm.sh", "serve-sglang.sh", "summary.json"}
    assert {path.name for path in Path("here").iterdir()} == files
    assert all(f"here/{name}" in out for name in files)
    found = json.loads(Path("here/plan.json").read_text("utf-8"))
    saved = json.loads(Path("here/summary.json").read_text("utf-8"))
    assert saved["verdict"] == found["verdict"]
    assert any("stops paying at a batch of 180" in line for line in saved["evidence"])
    assert saved["metrics"]["speedup"] == found["deployments"][0]["speedup"] == 1.31
    assert saved["metrics"]["joules_per_token"] == pytest.approx(0.55, rel=0.01)
    assert any("6.305 USD an hour (spec: CoreWeave" in line for line in found["assumptions"])
    assert any("draw 15% of their design power" in line for line in found["assumptions"])
    assert any("of b300_sxm is 1100 W (spec" in line for line in found["assumptions"])
    assert asked[0].target_rate == 20.0


def test_nothing_that_holds_is_a_finding_with_an_exit_code_of_its_own(moesim, answered):
    answered(plans.empty_plan(offers=()))
    code, out, err = moesim("plan", *plans.OVERRIDES, GPUS, "picture=false")
    assert (code, err) == (NOTHING_HOLDS, "")
    assert "Nothing serves Qwen3-235B-A22B" in out
    assert "1: moesim simulate" in out  # the nearest miss
    assert "serve-vllm" not in out


def test_json_prints_the_metrics_alone(moesim, answered, short):
    answered(short)
    _, out, _ = moesim("plan", *plans.OVERRIDES, "json=true", "picture=false")
    assert json.loads(out)["max_rate_per_s"] == 23.4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gpu=h100_sxm"], "Did you mean 'gpus'"),
        (["gpus=h100"], "Did you mean 'h100_sxm'"),
        (["gpus="], "gpus= is empty"),
        (["modle=qwen3_30b_a3b"], "Did you mean 'model'"),
        (["workload.rat=3"], "workload.rate"),
        (["rate=3"], "Did you mean workload.rate?"),
        (["h100_sxm"], "is no key=value"),
        (["hardware.gpu=h100_sxm"], "narrow its choice with gpus="),
        (["hardware=h100_sxm"], "narrow its choice with gpus="),
        (["workload.rate=null"], "workload.rate is not set"),
        (["slo=none"], "no class of requests is promised anything"),
        (["workers=0"], "workers=0 must lie in 1..4096"),
        (["prices=none.yaml"], "price list 'none.yaml' not found"),
        (["gpus=h200_sxm,b300_sxm", "max_usd_per_hour=50"], "has no price of b300_sxm"),
        (["replications=1"], "replications=1 must be at least 2"),
        (["executor=rya"], "Did you mean 'ray'"),
        (["models=qwen3_235b"], "unknown model 'qwen3_235b' in models="),
        (["models=qwen3_32b", "model=qwen3_30b_a3b"], "has no effect beside models=qwen3_32b"),
        (["policies=cost_modle"], "Did you mean 'cost_model'"),
        (["gammas=0", "policies=cost_model"], "policies=cost_model has no effect"),
        (["gammas=0,3,3"], "gammas=3 is there twice"),
        (["gpus=h100_sxm,h100_sxm"], "gpus=h100_sxm is there twice"),
        (["gammas=0,-1"], "gammas=-1 must lie in 0..64"),
        (["data_parallel=0"], "data_parallel=0 must be at least 1"),
        (["requests=1"], "requests=1 must be at least 100"),
        (["confirmations=0"], "confirmations=0 must be at least 1"),
        (["speculation=off"], "set gammas=0 to plan without speculation"),
    ],
    ids=lambda value: value[0].replace("=", "_") if isinstance(value, list) else "",
)
def test_wrong_words_are_refused_before_anything_is_searched(moesim, words, message):
    code, out, err = moesim("plan", "workload.rate=2", *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("plan cache=file", "cache='file' is a file"),
        ("plan hydra.run.dir=file", "'file' is a file"),
        ("plan hydra.run.dir=run", "'run' holds results of moesim simulate"),
        ("sweep speculation.gamma=1,2 hydra.run.dir=run", "'run' holds results of moesim simulate"),
    ],
)
def test_files_that_are_in_the_way_are_refused_before_anything_runs(moesim, words, message):
    Path("file").touch()
    Path("run").mkdir()
    Path("run/requests.parquet").touch()
    code, out, err = moesim(*words.split(), "workload.rate=2")
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_a_budget_is_kept_once_all_candidates_have_a_price():
    settings = Settings(gpus=("h200_sxm", "l40s"), max_usd_per_hour=50.0)
    asked = question(settings, RATE, load_prices())
    assert asked.usd_per_gpu_hour == {"h200_sxm": 6.305, "l40s": 2.25}
    assert asked.limits.max_usd_per_hour == 50.0


def test_prefill_apart_is_tried_if_asked_for():
    apart = question(Settings(disaggregate=True), RATE, load_prices()).candidates.splits
    assert apart[0] is None
    assert len(apart) > 1
    assert Settings().disaggregate is False


@pytest.mark.parametrize(("cache", "kept"), [("here", True), ("none", False)])
def test_an_interrupted_search_says_how_it_goes_on(moesim, monkeypatch, cache, kept):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.study.plan.search.search", interrupted)
    code, out, err = moesim("plan", *RATE, f"cache={cache}")
    assert (code, out) == (130, "")
    assert ("kept in here; the same words go on from there" in err) == kept


def test_results_are_kept_in_the_users_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder(None) == Path("/caches/moesim/plan")
    assert cache_folder("none") is None


def test_help_says_settings_examples_and_exit_codes(moesim):
    code, out, err = moesim("plan", "--help")
    assert (code, err) == (0, "")
    for word in ("gpus=", "max_usd_per_hour=", "prices=", "disaggregate=", "cache=", "exit code"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 80
