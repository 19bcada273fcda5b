"""The policy that runs a belief table: what it believes, when it decides, what it refuses."""

import json

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.speculation.belief_policy import BeliefPolicy
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.control.grid import BeliefGrid
from simulator.speculation.control.pomdp import Pomdp, predictive_belief
from simulator.speculation.control.served import ServedTable
from simulator.speculation.control.table import BeliefTable
from simulator.speculation.policies import POLICIES
from simulator.speculation.telemetry import Telemetry

KEEP = [[0.9, 0.1], [0.2, 0.8]]
SWAP = [[0.3, 0.7], [0.6, 0.4]]
SHOWN = [[0.1, 0.2, 0.4, 0.3], [0.5, 0.4, 0.05, 0.05]]
"""Two buckets of acceptance by two of the backlog: state 0 accepts much."""


def served(shown=SHOWN):
    """Draft 5 where state 0 is likely, else 1; intervals of 10 s."""
    model = Pomdp([KEEP, SWAP], shown, [1.0, 0.0, 1.0, 0.0], [0.5, 0.5])
    grid = BeliefGrid(2, 10)
    actions = (grid.points[:, 0] > 0.55).astype(int)
    return ServedTable(model, BeliefTable(grid, actions), (1, 5), 10.0, (0.6,), (8,))


def telemetry(now_s, accepted=(), gamma=1, requests=4, waiting=0):
    return Telemetry(requests, 400, gamma, np.array(accepted, np.int64), waiting, now_s)


def test_the_belief_is_the_predictive_one_of_the_intervals_that_ended():
    policy, model = BeliefPolicy(served()), served().model
    assert policy.decide(telemetry(0.0)) == 1  # even odds: action 0
    policy.decide(telemetry(4.0, [1, 1, 0, 1]))  # 3 of 4
    assert policy.belief.tolist() == [0.5, 0.5]  # telemetry of an interval comes at its end
    chosen = policy.decide(telemetry(10.0, [0, 1, 1, 1], requests=6, waiting=4))
    expected = predictive_belief(model, np.array([0.5, 0.5]), 0, 2)  # 6 of 8 accepted, backlog 4
    assert policy.belief == pytest.approx(expected)
    assert chosen == 5
    policy.decide(telemetry(20.0, [0, 0, 0, 2], gamma=5))
    expected = predictive_belief(model, expected, 1, 1)  # 1 of 4, begun with 10 requests there
    assert policy.belief == pytest.approx(expected)


def test_a_draft_length_is_held_for_an_interval():
    policy = BeliefPolicy(served())
    chosen = [policy.decide(telemetry(step / 2, [1, 1, 1, 1], gamma=5)) for step in range(60)]
    changes = np.flatnonzero(np.diff(chosen)) + 1
    assert 20 in changes
    assert set(changes) <= {20, 40}


def test_without_drafts_only_the_backlog_tells():
    policy, model = BeliefPolicy(served()), served().model
    policy.decide(telemetry(0.0, requests=9))
    policy.decide(telemetry(10.0, [0, 0], gamma=0))
    weighed = (
        np.array([0.5, 0.5]) * model.observations[:, [1, 3]].sum(axis=1) @ model.transitions[0]
    )
    assert policy.belief == pytest.approx(weighed / weighed.sum())


def test_a_replica_that_slept_believes_what_the_chain_tends_to():
    policy = BeliefPolicy(served())
    policy.decide(telemetry(0.0))
    policy.decide(telemetry(1e7, [1, 1, 1]))
    assert policy.belief == pytest.approx([2 / 3, 1 / 3], abs=1e-6)  # stationary under KEEP


def test_what_the_model_holds_for_impossible_moves_the_belief_all_the_same():
    policy = BeliefPolicy(served([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]))
    policy.decide(telemetry(0.0))
    policy.decide(telemetry(10.0, [1, 1, 1]))
    assert policy.belief == pytest.approx(np.array([0.5, 0.5]) @ KEEP)


def test_the_registered_policy_reads_the_file_and_refuses_longer_drafts(tmp_path):
    file = tmp_path / "table.json"
    file.write_text(json.dumps(served().as_json()))
    make = POLICIES.get("belief_table")
    settings = {"alpha": 0.7, "policy": "belief_table", "table": str(file)}
    assert make(SpeculationConfig(gamma=5, **settings), None).decide(telemetry(0.0)) == 1
    with pytest.raises(ConfigError, match=r"drafts up to 5 tokens .* set speculation.gamma=5"):
        make(SpeculationConfig(gamma=3, **settings), None)


def test_a_table_belongs_to_its_policy_and_it_needs_one():
    for settings in ({"policy": "belief_table"}, {"table": "table.json"}):
        with pytest.raises(ConfigError, match="the policy belief_table needs one"):
            SpeculationConfig(alpha=0.7, **settings)
