"""What a request that is alone misses rules a deployment out; nothing else may."""

from dataclasses import dataclass

import numpy as np
import pytest

from simulator.slo import SloConfig
from simulator.study.plan.screening import _alone
from simulator.study.plan.traffic import Traffic

TRAFFIC = Traffic(
    prompt_tokens=np.full(200, 1000),
    output_tokens=np.tile([101, 1001], 100),
    traffic_class=np.tile([0, 1], 100),
)


@dataclass
class Pool:
    """A replica whose classes decode at paces of their own."""

    token_s: tuple[float, float]

    def alone_ttft_s(self, prompt_tokens):
        return 1e-4 * prompt_tokens

    def least_token_s(self, index):
        return self.token_s[index]


def worst(**objectives):
    pool = Pool(token_s=(0.010, 0.040))
    slos = {name: SloConfig(**bounds) for name, bounds in objectives.items()}
    return max(_alone([pool], TRAFFIC, slos), default=(0.0, ""))


def test_each_class_is_held_to_its_own_pace():
    """The mean pace, 37 ms a token, would rule out what the fast class keeps with ease."""
    assert worst(fast={"tpot_s": 0.012}, slow={"tpot_s": 0.05})[0] < 1.0
    times, reason = worst(fast={"tpot_s": 0.012}, slow={"tpot_s": 0.02})
    assert times == pytest.approx(0.040 / 1.05 / 0.02)
    assert "slow are promised a token every 20 ms" in reason


def test_whole_answers_that_take_too_long_rule_out():
    times, reason = worst(fast={"e2e_s": 2.0}, slow={"e2e_s": 20.0})
    assert times == pytest.approx(1000 * 0.040 / 1.05 / 20.0)
    assert "slow must end within 20 s, but 1,000 output tokens" in reason


def test_a_class_has_the_lengths_of_its_own_requests():
    slow = TRAFFIC.of_class(1)
    assert set(slow.output_tokens) == {1001}
    assert slow.context_tokens == 1500.5
