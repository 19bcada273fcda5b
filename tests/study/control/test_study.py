"""A short study from end to end: regret, estimates, tables, words and files."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from study.control.conftest import derive, run_short

from simulator.errors import ConfigError
from simulator.report.control import print_control
from simulator.report.control_plots import plot_control
from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.served import read_served
from simulator.speculation.control.settings import LearnerSettings
from simulator.study.control.findings import metrics, summary, words
from simulator.study.control.records import write_records
from simulator.study.control.regret import bootstrap
from simulator.study.control.study import study
from simulator.study.control.tables import along_phase, nearest_schedule


def test_regret_is_what_the_intervals_say(short):
    run = short.runs["mixed"]
    paid = short.found.pomdp.rewards[run.observations].sum(axis=1)
    assert short.final_regret("mixed") == pytest.approx(short.gain * 6000 - paid)
    assert short.bands["mixed"].mean[-1] == pytest.approx(short.final_regret("mixed").mean())


def test_the_oracle_bounds_rules_and_held_plans(short):
    assert max(rule.gain for rule in short.rules) <= short.gain
    assert short.held["oracle"].mean() <= short.gain + 0.01
    assert short.held["learned"].mean() <= short.held["oracle"].mean() + 0.01


def test_where_a_learner_overtakes_a_rule_it_stays_below(short):
    for rule in short.rules:
        crossed = short.overtakes("mixed", rule)
        if crossed is None:
            continue
        place = short.checkpoints.index(crossed)
        line = (short.gain - rule.gain) * np.array(short.checkpoints)
        assert (short.bands["mixed"].high[place:] < line[place:]).all()


def test_estimates_are_held_against_the_truth_in_any_order_of_states(short):
    assert short.estimates
    row = short.estimates[-1]
    assert 0.0 < row.observation_error < 0.5
    assert sum(row.visits) <= 6000
    assert len(row.views) == len(row.disagreement) == 3


def test_figures_are_flat_and_finite(short):
    found = metrics(short)
    gone = {"mixed_overtakes_best_fixed_at", "mixed_overtakes_best_rule_at"}
    assert all(np.isfinite(value) for key, value in found.items() if key not in gone)
    assert found["mixed_over_seeu_regret"] == pytest.approx(
        found["mixed_regret"] / found["seeu_regret"]
    )
    assert found["ceiling_over_best_fixed"] >= 0.0


def test_files_hold_every_interval_and_tables_that_load(short, tmp_path):
    files = write_records(short, tmp_path)
    rows = pq.read_table(files["intervals"]).to_pandas()
    assert len(rows) == 3 * 2 * 6000
    mine = rows[(rows.learner == "mixed") & (rows.seed == 4)]
    assert mine.interval.tolist() == list(range(6000))
    assert mine.reward.sum() == pytest.approx(
        short.gain * 6000 - short.final_regret("mixed")[1], rel=1e-6
    )
    assert mine.episode.max() == len(short.runs["mixed"].episodes[1]) - 1
    assert files["intervals"].stat().st_size < 2 * len(rows)
    served = read_served(files["table"])
    assert served.gammas == (1, 3, 6)
    assert np.array_equal(served.table.actions, short.learned.table.actions)
    curves = pq.read_table(files["regret"]).to_pandas()
    assert set(curves.who) == {*short.runs, *(rule.name for rule in short.rules)}


def test_words_say_what_there_is_to_win_and_what_it_costs(short):
    said = " ".join(words(short))
    assert "Knowing the regime is worth" in said
    assert "the mixed learner has lost" in said
    assert "Not an online learner for production" in said
    assert "Bands of 2 seeds cover less than 95 %" in said


def test_one_seed_shows_no_band(short):
    rewards = short.found.pomdp.rewards
    bands = {
        name: bootstrap(run.regret(rewards, short.gain, short.checkpoints)[:1])
        for name, run in short.runs.items()
    }
    one = replace(short, bands=bands)
    assert words(one)[1].count("(one seed, no band)") == 2
    lost = replace(short.best_fixed, gain=short.gain - 1.0)  # loses 1 an interval, from the first
    assert one.overtakes("mixed", lost) == short.checkpoints[0]


def test_the_exported_table_is_held_against_the_best_rule(short):
    apart = short.held["oracle"] - 0.1
    said = words(replace(short, held={**short.held, "learned": apart}))[3]
    assert f"scores {short.gain - 0.1:.4f} an interval" in said
    assert "less than" in said
    even = words(replace(short, held={**short.held, "learned": short.held["oracle"]}))[3]
    assert f"scores {short.gain:.4f}" in even
    assert "more than" in even  # the oracle's gain is above every rule's


def test_a_fixed_draft_length_that_wins_is_said_to(short):
    best = replace(short, gain=short.best_fixed.gain * 1.001)
    assert "A fixed draft length wins" in words(best)[0]
    worse = replace(best, gain=short.best_fixed.gain + 1e-9)
    assert "learning does not pay" in words(worse)[1]


def test_the_terminal_shows_it_and_the_picture_is_drawn(short, tmp_path):
    console = Console(width=100, record=True, file=StringIO())
    print_control(short, None, console)
    shown = console.export_text()
    for text in ("mixed spectral UCRL", "SEEU", "threshold on acceptance", "gamma 1", "trusted in"):
        assert text in shown
    assert plot_control(short, tmp_path / "control.png").stat().st_size > 10_000


def test_the_summary_is_json(short):
    content = json.loads(json.dumps(summary(short), default=lambda array: array.tolist()))
    assert content["assumption_report"]["observation_rank"] == 4
    assert content["surrogate"]["states"] == short.found.states
    assert content["assumption_report"]["trusted_seeds"] == [
        sum(one.trusted[action] for one in short.evidence) for action in range(3)
    ]
    assert len(content["schedule"]["agreement"]) == 2


def test_the_nearest_schedule_counts_what_was_done(short):
    """A policy that drafts 1 while few are there and 6 beyond is a schedule."""
    run = short.runs["mixed"]
    seen = np.array([[0, 1, 0, 1, 1, 2]], np.uint8)
    taken = np.array([[0, 0, 2, 0, 2, 2]], np.uint8)
    found = nearest_schedule(
        short.found, replace(run, seeds=(0,), observations=seen, actions=taken)
    )
    assert found.rows == [[1, 15, 1], [16, 16, 6]]
    assert found.agreement == [1.0, 1.0]
    assert found.collapses


def test_long_drafts_where_the_easy_phase_is_likely(short):
    """The oracle's table along the chance of the easy phase, backlog known."""
    shares = np.linspace(0, 1, 21)
    drafts = along_phase(short.oracle, (1, 3, 6), 2, shares)
    assert (np.diff(drafts) >= 0).all() or (np.diff(drafts) <= 0).all()


def test_what_cannot_be_learned_is_refused(easy_to_learn):
    given = easy_to_learn.pomdp
    blurred = Pomdp(given.transitions, np.full((4, 6), 1 / 6), given.rewards, given.first_belief)
    with pytest.raises(NotLearnableError, match="rank 1 of 4"):
        study(
            replace(easy_to_learn, pomdp=blurred),
            LearnerSettings(),
            seeds=[0],
            intervals=1000,
            workers=1,
        )


@pytest.mark.parametrize(
    ("seeds", "intervals", "message"),
    [([], 1000, "0 seeds"), ([0], 10, "100 to 2,000,000 intervals")],
)
def test_studies_out_of_bounds_are_refused(easy_to_learn, seeds, intervals, message):
    with pytest.raises(ConfigError, match=message):
        study(easy_to_learn, LearnerSettings(), seeds=seeds, intervals=intervals, workers=1)


def test_a_study_that_ends_while_exploring_has_nothing_to_export(easy_to_learn):
    with pytest.raises(ConfigError, match="end before mixed and sm_ucrl can have a plan"):
        study(easy_to_learn, LearnerSettings(divisions=4), seeds=[0], intervals=200, workers=1)


def test_seeu_needs_time_to_follow_a_plan_too(easy_to_learn):
    settings = LearnerSettings(first_exploration=100, explore_intervals=500)
    with pytest.raises(ConfigError, match="before seeu can have a plan: explore_intervals=500"):
        study(easy_to_learn, settings, seeds=[0], intervals=500, workers=1)


def test_a_learner_that_cannot_learn_is_named_with_what_to_set(easy_to_learn):
    settings = LearnerSettings(divisions=4, first_exploration=30, explore_intervals=40)
    with pytest.raises(NotLearnableError, match=r"^mixed, seed 7: .* first_exploration=30 and"):
        study(easy_to_learn, settings, seeds=[7], intervals=200, workers=1)


@pytest.mark.slow
def test_two_processes_find_the_same(short, easy_to_learn):
    other = run_short(easy_to_learn, workers=2)
    for name, run in short.runs.items():
        assert np.array_equal(run.actions, other.runs[name].actions)
        assert np.array_equal(run.observations, other.runs[name].observations)
    assert metrics(short) == metrics(other)


@pytest.mark.slow
def test_the_serving_instance_is_learned_in_time(serving):
    """9.3: below .6 of SEEU's regret and below the best fixed draft length's, eight seeds."""
    settings = LearnerSettings(first_exploration=20_000)
    found = study(serving, settings, seeds=range(8), intervals=600_000, workers=2)
    figures = metrics(found)
    assert figures["mixed_over_seeu_regret"] < 0.6
    assert figures["mixed_regret_high"] < figures["best_fixed_regret"]


@pytest.mark.slow
def test_on_the_second_instance_a_fixed_draft_length_wins():
    settings = LearnerSettings(first_exploration=20_000)
    found = study(derive("fixed_wins"), settings, seeds=range(2), intervals=100_000, workers=2)
    assert "A fixed draft length wins" in words(found)[0]
    assert metrics(found)["mixed_regret_low"] > metrics(found)["best_fixed_regret"]
