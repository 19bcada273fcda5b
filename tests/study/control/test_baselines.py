"""Rules without learning: their rewards are exact, and none beats the oracle."""

import numpy as np
import pytest

from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.planning import plan
from simulator.speculation.control.pomdp import Pomdp
from simulator.study.control.baselines import baselines, batch_tables, cost_models, thresholds


@pytest.fixture(scope="module")
def rules(serving):
    return {rule.name: rule for rule in baselines(serving)}


def test_fixed_draft_lengths_earn_what_their_chain_does(serving, rules):
    fixed = [rule.gain for rule in rules.values() if rule.fixed]
    assert fixed == pytest.approx(serving.gains)


def test_rules_lie_between_the_best_fixed_and_the_oracle(serving, rules):
    oracle = plan(serving.pomdp, BeliefGrid(4, 12)).gain
    best = max(serving.gains)
    assert rules["batch_schedule"].gain >= best - 1e-12
    for rule in rules.values():
        assert rule.gain <= oracle


def test_a_threshold_wins_nearly_all_there_is_and_a_batch_table_nothing(serving, rules):
    """What is hidden shows within an interval, and the draft length should not follow the batch."""
    assert rules["threshold"].gain > 1.04 * max(serving.gains)
    assert rules["batch_schedule"].gain == pytest.approx(max(serving.gains), rel=0.01)
    assert "else 1; weight of the last interval 1" in rules["threshold"].how


def test_the_rules_are_blind(serving):
    for kind in (batch_tables, thresholds, cost_models):
        assert all(rule.is_blind for _, rule in kind(serving))


def test_every_batch_table_is_tried(serving):
    assert len(list(batch_tables(serving))) == 9


def test_a_rule_earns_what_it_does_in_a_simulation(serving, rules):
    """The threshold on the last interval, played by hand."""
    pomdp: Pomdp = serving.pomdp
    generator = np.random.default_rng(5)
    steps, heights = 15_000, pomdp.transitions.cumsum(axis=2)
    shown = pomdp.observations.cumsum(axis=1)
    state, action, paid = 0, 0, 0.0
    for first, second in generator.random((steps, 2)).tolist():
        seen = min(int(shown[state].searchsorted(first)), 5)
        paid += pomdp.rewards[seen]
        state = min(int(heights[action, state].searchsorted(second)), 3)
        action = 2 if seen // 2 >= 1 else 0  # middle bucket of acceptance, or the upper one
    assert paid / steps == pytest.approx(rules["threshold"].gain, abs=0.025)
