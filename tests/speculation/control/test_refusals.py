"""What cannot be learned is refused, with the reason."""

import numpy as np
import pytest
from helpers.control import clear_pomdp, random_pomdp

from simulator.errors import ConfigError, SimulatorError
from simulator.speculation.control.assumptions import (
    moment_report,
    process_report,
    require_learnable,
)
from simulator.speculation.control.controllers import (
    Controller,
    blind,
    constant,
    current_observation,
    last_observation,
)
from simulator.speculation.control.errors import NotLearnableError
from simulator.speculation.control.estimate import estimate
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.moments import TripleMoments
from simulator.speculation.control.phases import Phase
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.population import population_moments
from simulator.speculation.control.table import BeliefTable

LIKE_EACH_OTHER = Pomdp(
    clear_pomdp().transitions,
    [[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]],
    [1.0, 0.0, 0.0],
)
FORGETFUL = Pomdp(
    [clear_pomdp().transitions[0], np.full((3, 3), 1 / 3)],
    clear_pomdp().observations,
    clear_pomdp().rewards,
)


def exact(truth):
    return population_moments(truth, [blind(np.full(truth.actions, 0.5), truth.symbols)])


def refusal(moments, states):
    with pytest.raises(NotLearnableError) as caught:
        estimate(moments, states, np.random.default_rng(1))
    assert isinstance(caught.value, SimulatorError)
    return str(caught.value)


def test_more_states_than_observations():
    assert "4 states cannot be told apart by 3 obs" in refusal(exact(LIKE_EACH_OTHER), 4)
    truth = random_pomdp(1, states=4, actions=2, symbols=3)
    with pytest.raises(NotLearnableError, match="at least as many observations as states"):
        require_learnable(truth)


def test_states_that_look_alike():
    assert "around action 0 do not show 3 states" in refusal(exact(LIKE_EACH_OTHER), 3)
    with pytest.raises(NotLearnableError, match="observation matrix has rank 2 of 3"):
        require_learnable(LIKE_EACH_OTHER)


def test_an_action_after_which_all_states_have_the_same_future():
    assert "around action 1 do not show 3 states" in refusal(exact(FORGETFUL), 3)
    with pytest.raises(NotLearnableError, match="action 1 has rank 1 of 3"):
        require_learnable(FORGETFUL)


def test_fewer_states_than_supposed():
    assert "do not show 4 states" in refusal(exact(clear_pomdp()), 4)


def test_an_action_never_taken():
    moments = population_moments(clear_pomdp(), [constant(1, actions=2, symbols=4)])
    assert "actions [0]: they were never taken" in refusal(moments, 3)


def test_a_handful_of_intervals():
    moments = TripleMoments(actions=1, symbols=4)
    moments.add(np.random.default_rng(1).integers(0, 4, 300), np.zeros(300, int))
    text = refusal(moments, 3)
    assert "298 triples" in text
    assert "explore longer" in text
    assert moment_report(moments, 3).trusted == (False,)


def test_what_can_be_learned_is_said_to_be():
    report = require_learnable(clear_pomdp())
    assert report.broken == ()
    assert report.smallest_transition == pytest.approx(0.2 / 3)
    assert report.observation_sigma == pytest.approx(0.75)
    assert moment_report(exact(clear_pomdp()), 3).trusted == (True, True)
    assert process_report(FORGETFUL).transition_sigmas[1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Pomdp([[[0.5, 0.6], [0.5, 0.5]]], np.eye(2), [0, 1]), "distributions"),
        (lambda: Pomdp([np.eye(2)], np.full((2, 2), np.nan), [0, 1]), "distributions"),
        (lambda: Pomdp([np.eye(2)], np.eye(3), [0, 1, 2]), "must have shape"),
        (lambda: Pomdp(np.eye(2), np.eye(2), [0, 1]), "transitions \\[A, S, S\\]"),
        (lambda: BeliefGrid(states=9, divisions=12), "out of range"),
        (lambda: BeliefTable(BeliefGrid(2, 2), [0, 1]), "over 3 points"),
        (lambda: BeliefTable(BeliefGrid(2, 2), [0, -1, 1]), "smallest -1"),
        (lambda: Controller(np.ones((1, 2, 1)), np.ones((1, 1, 2))), "between 0 and 0"),
        (lambda: Controller(np.ones((1, 2, 2)), np.zeros((1, 2, 2))), "sums from 2 to 2"),
        (lambda: Controller(np.ones((1, 2, 1)), np.zeros((1, 2, 1))), "shapes"),
        (lambda: Phase("exploit", current_observation(np.eye(2))), "one interval late"),
        (lambda: Phase("exploit", last_observation(np.full((2, 2), 0.5))), "state chance"),
        (lambda: Phase("explore", constant(0, 2, 2), exploration=2.0), "from 0 to 1"),
        (lambda: Phase("explore", constant(0, 2, 2), visits=np.zeros(2)), "1 interval or more"),
        (lambda: TripleMoments(2, 2).add([0, 1, 1], [0, 1]), "as many actions"),
        (lambda: TripleMoments(2, 2).add([0, 1, 1], [0, 1, 1], [1, 0, 1]), "stated chance"),
        (
            lambda: population_moments(
                clear_pomdp(), [current_observation(np.eye(2)[[0, 1, 0, 1]])], weighted=True
            ),
            "every action to have a chance above 0",
        ),
    ],
    ids=range(17),
)
def test_what_does_not_fit_is_refused(build, reason):
    with pytest.raises(ConfigError, match=reason):
        build()
