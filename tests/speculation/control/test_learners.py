"""Learners side by side: limits, determinism, and that learning pays."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.control import clear_pomdp, errors, serving_pomdp

from simulator.errors import ConfigError
from simulator.speculation.control.baselines import Follow
from simulator.speculation.control.controllers import Controller, constant, last_observation
from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.lanes import run_learners
from simulator.speculation.control.memoryless import MemorylessSpectralUcrl
from simulator.speculation.control.mixed import MixedSpectralUcrl
from simulator.speculation.control.planning import plan
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.seeu import Seeu
from simulator.speculation.control.settings import Known, LearnerSettings
from simulator.speculation.control.table import BeliefController

INTERVALS = 24_000
SETTINGS = LearnerSettings(
    first_exploration=4_000,
    explore_intervals=3_000,
    exploit_intervals=6_000,
    optimism=1e-6,
    models=2,
)
TRUTH, GRID = clear_pomdp(), BeliefGrid(3, 10)
KNOWN = Known(actions=2, states=3, rewards=TRUTH.rewards)
ORACLE = plan(TRUTH, GRID)
STARTS = {
    "mixed": lambda streams: MixedSpectralUcrl(KNOWN, SETTINGS, GRID, streams),
    "seeu": lambda streams: Seeu(KNOWN, SETTINGS, GRID, streams),
    "memoryless": lambda streams: MemorylessSpectralUcrl(KNOWN, SETTINGS, GRID, streams),
    "oracle": lambda streams: Follow(ORACLE),
    "fixed": lambda streams: Follow(constant(0, 2, 4)),
    "last": lambda streams: Follow(last_observation(np.eye(2)[[0, 1, 1, 0]])),
}


@pytest.fixture(scope="module")
def runs():
    return run_learners(TRUTH, GRID, STARTS, seeds=[3, 8], intervals=INTERVALS)


def test_episodes_stay_within_their_bound(runs):
    bound = TRUTH.actions * np.log2(INTERVALS) + TRUTH.actions
    for episodes in runs["mixed"].episodes:
        assert 2 < len(episodes) <= bound


def test_an_episode_ends_when_an_action_has_doubled(runs):
    run = runs["mixed"]
    for actions, episodes in zip(run.actions, run.episodes, strict=True):
        for episode, following in pairwise(episodes[1:]):
            within = np.bincount(
                actions[episode.first_interval : following.first_interval], minlength=2
            )
            assert np.any(within == episode.conditioning.visits)
            assert np.all(within <= episode.conditioning.visits)


def test_phases_of_seeu_alternate_with_their_lengths(runs):
    for episodes in runs["seeu"].episodes:
        starts = [episode.first_interval for episode in episodes]
        assert starts == [0, 3_000, 9_000, 12_000, 20_485, 23_485]
        assert [episode.purpose for episode in episodes] == ["explore", "exploit"] * 3


def test_estimates_end_near_the_truth_which_no_learner_sees(runs):
    for episodes in runs["mixed"].episodes:
        assert max(errors(TRUTH, episodes[-1].model)) < 0.15


def test_learning_pays(runs):
    late = {
        name: TRUTH.rewards[run.observations[:, INTERVALS // 2 :]].mean()
        for name, run in runs.items()
    }
    assert late["fixed"] < late["memoryless"] <= late["mixed"] + 0.01
    assert late["mixed"] == pytest.approx(late["oracle"], abs=0.02)
    assert late["oracle"] <= ORACLE.gain + 0.01


def test_regret_counts_what_observations_paid(runs):
    run = runs["fixed"]
    paid = TRUTH.rewards[run.observations[1, :500]].sum()
    found = run.regret(TRUTH.rewards, 0.6, [1, 500, INTERVALS])
    assert found.shape == (2, 3)
    assert found[1, 1] == pytest.approx(0.6 * 500 - paid)


def test_a_seed_runs_alike_beside_others_and_alone(runs):
    few = 6_000  # a longer run goes on where a shorter one ends
    alone = run_learners(
        TRUTH, GRID, {name: STARTS[name] for name in ("oracle", "mixed")}, [8], few
    )
    for name, run in alone.items():
        assert len(run.episodes[0]) > (name == "mixed")
        np.testing.assert_array_equal(run.actions[0], runs[name].actions[1, :few])
        np.testing.assert_array_equal(run.observations[0], runs[name].observations[1, :few])


def test_a_lane_believes_what_the_controller_of_a_server_would(runs):
    for name, episode in (("oracle", 0), ("mixed", 1)):
        run = runs[name]
        made = run.episodes[0][episode]
        controller = BeliefController(made.model, made.table)
        first = made.first_interval
        seen = list(zip(run.actions[0], run.observations[0], strict=True))
        for action, observation in seen[max(0, first - 256) : first]:
            controller.observe(action, observation)
        for action, observation in seen[first : first + 400]:
            assert controller.decide() == action
            controller.observe(action, observation)


def test_a_controller_acts_on_what_it_saw_last(runs):
    run = runs["last"]
    np.testing.assert_array_equal(
        run.actions[:, 1:], np.array([0, 1, 1, 0])[run.observations[:, :-1]]
    )


def test_the_world_follows_the_process(runs):
    """Long-run shares of observations under a fixed action."""
    shares = np.bincount(runs["fixed"].observations.ravel(), minlength=4) / (2 * INTERVALS)
    np.testing.assert_allclose(shares, TRUTH.observations.mean(axis=0), atol=0.02)


def test_too_short_an_exploration_is_refused():
    short = LearnerSettings(first_exploration=50)
    with pytest.raises(NotLearnableError, match="explore longer"):
        run_learners(
            TRUTH, GRID, {"mixed": lambda s: MixedSpectralUcrl(KNOWN, short, GRID, s)}, [1], 500
        )


def test_plans_on_another_grid_are_refused():
    with pytest.raises(ConfigError, match="must share their belief grid"):
        run_learners(TRUTH, BeliefGrid(3, 9), {"oracle": lambda s: Follow(ORACLE)}, [1], 10)


def test_more_observations_than_a_byte_tells_apart_are_refused():
    wide = Pomdp([np.eye(2)], np.full((2, 300), 1 / 300), np.zeros(300))
    with pytest.raises(ConfigError, match="up to 256 actions and observations, got 1 and 300"):
        run_learners(wide, BeliefGrid(2, 3), {}, [1], 10)


def test_controllers_have_a_bounded_memory():
    nodes = 1025
    large = Controller(np.ones((nodes, 4, 2)) * [1, 0], np.zeros((nodes, 2, 4), int))
    with pytest.raises(ConfigError, match="may have 1024 nodes here, got 1025"):
        run_learners(TRUTH, GRID, {"large": lambda s: Follow(large)}, [1], 10)


@pytest.mark.parametrize(
    ("name", "value"), [("divisions", 0), ("optimism", -1.0), ("delta", 1.0), ("optimism", np.nan)]
)
def test_constants_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        LearnerSettings(**{name: value})


@pytest.mark.slow
def test_the_mixed_learner_overtakes_seeu_and_every_fixed_action():
    truth, grid = serving_pomdp(), BeliefGrid(4, 12)
    known, settings = Known(3, 4, truth.rewards), LearnerSettings()
    starts = {f"fixed {a}": (lambda s, a=a: Follow(constant(a, 3, 6))) for a in range(3)}
    starts["mixed"] = lambda streams: MixedSpectralUcrl(known, settings, grid, streams)
    starts["seeu"] = lambda streams: Seeu(known, settings, grid, streams)
    last = 300_000
    runs = run_learners(truth, grid, starts, range(201, 205), last)
    gain = plan(truth, BeliefGrid(4, 20)).gain
    final = {name: run.regret(truth.rewards, gain, [last]).mean() for name, run in runs.items()}
    assert final["mixed"] < 0.8 * final["seeu"]
    assert final["mixed"] < 0.3 * min(final[f"fixed {a}"] for a in range(3))
