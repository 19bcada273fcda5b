from itertools import product

import numpy as np
import pytest
from helpers.control import clear_pomdp

from simulator.speculation.control.controllers import last_observation
from simulator.speculation.control.memoryless import memoryless_policy
from simulator.speculation.control.population import average_reward


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_climbing_finds_the_best_of_all_memoryless_policies(spread):
    truth = clear_pomdp()
    rewards = {
        policy: average_reward(
            truth, last_observation((1 - spread) * np.eye(2)[list(policy)] + spread / 2)
        )
        for policy in product(range(2), repeat=4)
    }
    policy, reward = memoryless_policy(truth, spread)
    assert reward == pytest.approx(max(rewards.values()))
    assert reward == pytest.approx(rewards[tuple(policy)])
