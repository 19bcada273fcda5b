"""Policies against fixed draft lengths: arms, pairing, and what is made of the figures."""

import json
from dataclasses import replace

import pytest

from simulator.cli import main
from simulator.compose import compose
from simulator.errors import ConfigError
from simulator.scenario import build
from simulator.study.policies.arms import arms, derived_schedule
from simulator.study.policies.compare import Comparison, Outcome, compare, plan, run, summary

SMALL = ["run.requests=40"]


def outcome(name, *goodputs, fixed=True):
    figures = [list(goodputs)] * 5
    return Outcome(name, fixed, [], *figures)


def test_every_fixed_draft_length_and_two_policies_are_arms():
    config = compose(["speculation.policy=cost_model"])
    found = list(arms(config, 2))
    assert [arm.name for arm in found] == [
        "gamma 0",
        "gamma 1",
        "gamma 2",
        "batch_schedule",
        "cost_model",
    ]
    assert [arm.fixed for arm in found] == [True] * 3 + [False] * 2
    for arm in found:
        assert replace(arm.config, speculation=config.speculation) == config
        assert arm.config.speculation.alpha == config.speculation.alpha
    assert {arm.config.speculation.policy for arm in found[:3]} == {"fixed"}
    assert found[3].config.speculation.schedule[-1][1] == config.scheduler.max_num_seqs


def test_the_schedule_drafts_less_where_cards_share_pcie():
    scenario = build(compose(["scenario=swinging", "speculation.gamma=4", *SMALL]))
    rows = derived_schedule(scenario)
    assert max(gamma for *_, gamma in rows[:3]) >= 2
    assert rows[-1][2] == 0


def test_of_equal_goodputs_the_best_decodes_fastest():
    slow, fast = outcome("gamma 0", 1.0), replace(outcome("gamma 2", 1.0), decode_tokens_per_s=[9])
    assert Comparison("s", "title", [slow, fast]).best_fixed is fast
    assert Comparison("s", "title", [fast, slow]).best_fixed is fast


def test_the_best_fixed_is_the_one_with_the_highest_goodput_and_ratios_are_paired():
    found = Comparison(
        "s",
        "title",
        [
            outcome("gamma 0", 1.0, 2.0),
            outcome("gamma 1", 1.2, 2.4),
            outcome("cost_model", 1.32, 2.64, fixed=False),
        ],
    )
    assert found.best_fixed.name == "gamma 1"
    gain = found.over_best(found.outcomes[-1])
    assert (gain.value, gain.low, gain.high) == pytest.approx((1.1, 1.1, 1.1))
    metrics = summary([found])["metrics"]
    assert metrics["s_cost_model_goodput_over_best_fixed"] == pytest.approx(1.1)
    assert set(metrics) == {
        f"s_cost_model_goodput_over_best_fixed{end}" for end in ("", "_low", "_high")
    }


def test_a_scenario_without_an_objective_has_no_goodput():
    with pytest.raises(ConfigError, match="scenario=chat has no objective"):
        plan(["chat"], longest=1, replications=1, overrides=["slo=none"])


def test_an_adaptive_arm_of_one_row_is_the_fixed_arm():
    """Same arrivals, lengths and draws: the figures agree to the bit."""
    fixed = list(arms(compose(["run.replications=1", *SMALL]), 1))[1]
    rows = [[1, 256, 1]]
    chosen = replace(fixed.config.speculation, policy="batch_schedule", schedule=rows)
    arm = replace(fixed, name="batch_schedule", config=replace(fixed.config, speculation=chosen))
    one, other = run(fixed), run(arm)
    assert one.goodput_per_s == other.goodput_per_s
    assert one.e2e_s == other.e2e_s


@pytest.mark.slow
def test_outcomes_stay_with_their_scenarios():
    planned = plan(["chat", "code"], longest=1, replications=2, overrides=SMALL)
    done = []
    found = compare(planned, workers=1, advance=done.append)
    assert sum(done) == 8
    assert [comparison.name for comparison in found] == ["chat", "code"]
    for comparison in found:
        assert comparison.outcomes[0].name == "gamma 0"
        assert all(len(one.goodput_per_s) == 2 for one in comparison.outcomes)
        assert comparison.outcomes[0].draft_tokens == [0.0, 0.0]


def test_the_command_prints_the_table_and_saves_the_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    words = ["scenario=chat", "longest=1", "replications=1", "requests=40", "workers=1"]
    assert main(["validate", "policies", *words, f"hydra.run.dir={tmp_path}"]) == 0
    shown = capsys.readouterr().out
    assert "gamma 1" in shown
    assert "speculation.schedule=[[1," in shown
    saved = json.loads((tmp_path / "summary.json").read_text())
    assert saved["scenarios"]["chat"]["best_fixed"].startswith("gamma")
    assert saved["metrics"]["chat_cost_model_goodput_over_best_fixed"] > 0.5


@pytest.mark.slow
def test_policies_gain_where_the_load_swings():
    """One replication: an adaptive draft length meets objectives that no fixed one does."""
    planned = plan(["swinging"], longest=3, replications=1)
    (found,) = compare(planned, workers=1, advance=lambda _: None)
    for name in ("batch_schedule", "cost_model"):
        (mine,) = [one for one in found.outcomes if one.name == name]
        assert found.over_best(mine).value > 1.05
