"""Scenarios whose draft length a policy chooses, from configuration to result."""

import pytest
from helpers.scenarios import make_config

from simulator.config import HardwareConfig, RunConfig
from simulator.costs.compiled import CompiledSteps
from simulator.errors import ConfigError
from simulator.scenario import build
from simulator.speculation.config import SpeculationConfig
from simulator.study.paired import simulate
from simulator.study.result import conclude
from simulator.workload.config import WorkloadConfig


def scenario(policy="cost_model", *, gamma=3, users=8, requests=40, **settings):
    """Build a closed loop."""
    return build(
        make_config(
            "qwen3_30b_a3b",
            hardware=HardwareConfig(gpu="h100_sxm"),
            workload=WorkloadConfig(
                kind="closed_loop", concurrency=users, prompt_tokens=100, output_tokens=60
            ),
            speculation=SpeculationConfig(gamma=gamma, alpha=0.7, policy=policy, **settings),
            run=RunConfig(requests=requests, replications=1, workers=1),
        )
    )


def summary(folder, **settings):
    """Run a scenario; return its summary."""
    built = scenario(**settings)
    files = {name: folder / f"{name}.parquet" for name in ("requests", "iterations")}
    simulate(built, files["requests"], files["iterations"], lambda _: None)
    return conclude(built, files | {"summary": folder / "summary.json"})


def test_a_policy_has_step_times_for_every_draft_length_and_the_baseline_has_none():
    built = scenario()
    adaptive, plain = built.deployment(3), built.deployment(0)
    assert [costs.query_tokens for costs in adaptive.costs] == [1, 2, 3, 4]
    assert adaptive.max_gamma == 3
    assert adaptive.new_policy is not None
    assert adaptive.new_policy() is not adaptive.new_policy()  # one for each replica
    assert plain.new_policy is None
    assert plain.max_gamma == 0


def test_without_drafts_the_drafter_still_reads_the_prompts():
    """Else it could not draft for a request later on. Decode steps cost what plain ones do."""
    model = scenario().step_model
    plain, follows = CompiledSteps(model, 0), CompiledSteps(model, 0, follows=True)
    assert follows.decode_s(8, 4000) == plain.decode_s(8, 4000)
    assert follows.mixed_s(8, 4000, [(0, 500)]) > plain.mixed_s(8, 4000, [(0, 500)])


def test_an_unknown_policy_is_refused_by_its_nearest_name():
    with pytest.raises(ConfigError, match=r"unknown draft policy.*Did you mean 'cost_model'"):
        scenario("cost_modell")


def test_a_result_says_who_chose_and_what(tmp_path):
    found = summary(tmp_path, policy="batch_schedule", schedule=[[1, 4, 3], [5, 8, 1]], users=8)
    assert found["scenario"]["speculation"].endswith("gamma 0 to 3 by batch_schedule")
    assert found["baseline"]["mean_draft_tokens"] == 0.0
    assert 1.0 <= found["speculative"]["mean_draft_tokens"] < 2.0
    assert found["decomposition"]["gamma"] == round(found["speculative"]["mean_draft_tokens"])


def test_a_schedule_of_one_row_gives_the_figures_of_a_fixed_draft_length(tmp_path):
    fixed = summary(tmp_path / "fixed", policy="fixed")
    always = summary(tmp_path / "always", policy="batch_schedule", schedule=[[1, 8, 3]])
    for figure in ("speedup", "baseline", "speculative"):
        assert fixed[figure] == always[figure]
