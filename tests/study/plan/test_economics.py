"""Costs of a plan: prices before the search, energy and sources after it."""

import pytest
from helpers.plans import B300, H200, offer, plan

from simulator.errors import ConfigError
from simulator.hardware.gpu import load_gpu
from simulator.hardware.power import watts
from simulator.hardware.prices import load_prices
from simulator.study.plan.economics import known_prices, with_costs

PRICES = load_prices()


def test_a_candidate_without_a_price_is_left_out_unless_there_is_a_budget():
    assert known_prices(PRICES, ["h200_sxm", "b300_sxm"], None) == {"h200_sxm": 6.305}
    assert known_prices(PRICES, ["h200_sxm"], 50.0) == {"h200_sxm": 6.305}
    with pytest.raises(
        ConfigError, match=r"no price of b300_sxm. Give one .* leave it out of gpus="
    ):
        known_prices(PRICES, ["h200_sxm", "b300_sxm"], 50.0)
    with pytest.raises(ConfigError, match=r"h800_sxm, b300_sxm\. .* leave them out of gpus="):
        known_prices(PRICES, ["h800_sxm", "b300_sxm"], 50.0)


def test_a_token_takes_the_power_of_all_gpus_at_their_utilisation():
    found = with_costs(plan(), PRICES).offers[0]
    power = 12 * watts(load_gpu("h200_sxm"), 0.92)
    assert found.joules_per_token == pytest.approx(power / 14_200)


def test_an_offer_that_was_not_simulated_has_no_energy():
    blank = offer(B300, utilisation=None, output_tokens_per_s=None)
    (found,) = with_costs(plan(offers=(blank,)), PRICES).offers
    assert found.joules_per_token is None
    assert found.usd_per_million_tokens is None


def test_prices_and_power_join_the_assumptions_with_their_sources():
    before, after = plan(), with_costs(plan(), PRICES)
    added = after.assumptions[len(before.assumptions) :]
    assert after.assumptions[: len(before.assumptions)] == before.assumptions
    assert sum("coreweave.com" in line for line in added) == 2  # none of b300_sxm
    assert sum("design power of" in line for line in added) == 3
    assert all("spec" in line or "assumed" in line for line in added)
    assert H200.gpu in added[0]
