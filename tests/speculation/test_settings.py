"""Settings of speculation that contradict each other are refused before anything runs."""

import pytest

from simulator.errors import ConfigError
from simulator.speculation.config import RegimeConfig, SpeculationConfig

REGIME = {"alpha_high": 0.8, "alpha_low": 0.5, "high_tokens": 40.0, "low_tokens": 97.0}
TREE = {"tree": [4, 2, 1], "tree_ranks": [0.3]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"acceptance": "heterogeneous", "alpha": None}, "alpha=null but .*=heterogeneous"),
        ({"acceptance": "heterogeneous"}, "alpha_spread=null but .* example .*alpha_spread=0.28"),
        ({"acceptance": "heterogeneous", "alpha_spread": 0.0}, r"alpha_spread=0.0 must lie in \(0"),
        (
            {"acceptance": "heterogeneous", "alpha_spread": float("nan")},
            "alpha_spread=nan must lie",
        ),
        (
            {"acceptance": "heterogeneous", "alpha_spread": 0.3, "alpha": 1.0},
            "alpha=1.0 leaves .* nothing to spread",
        ),
        ({"alpha_spread": 0.3}, "alpha_spread=0.3 has no effect with speculation.acceptance=iid"),
        ({"acceptance": "regime"}, "regime=null but .* the measured ones of speculation=regime"),
        ({"regime": RegimeConfig(**REGIME)}, "has no effect with speculation.acceptance=iid"),
        ({"acceptance": "recorded"}, "path=null but .* speculation.path=accepted.csv"),
        ({"path": "a.csv"}, "path='a.csv' has no effect"),
        ({"acceptance": "recorded", "path": "a.csv", **TREE}, "have no effect with .*=recorded"),
        (
            {"acceptance": "recorded", "path": "a.csv", "proposal_rate": 0.5},
            "proposal_rate=0.5 have no effect",
        ),
        ({"proposal_rate": 0.0}, r"proposal_rate=0.0 must lie in \(0, 1\]"),
        ({"proposal_rate": 1.1}, "proposal_rate=1.1 must lie"),
        ({**TREE, "tree": [4, 0, 1]}, r"tree\[1\]=0 must lie in 1..1024"),
        ({**TREE, "tree": [4, 2]}, "has 2 levels where speculation.gamma=3"),
        ({**TREE, "tree": [32, 32, 2]}, "has 3104 nodes"),
        ({**TREE, "tree_ranks": [1.5]}, r"tree_ranks\[0\]=1.5 must lie"),
        ({**TREE, "tree_ranks": []}, "needs the chances of those after the first"),
        ({"tree_ranks": [0.3]}, "no other draft has any"),
        ({"tree": [1, 1, 1], "tree_ranks": [0.3]}, "no other draft has any"),
        ({"drafter_gpus": "onw"}, "Did you mean 'own'"),
        ({"drafter_gpus": "own"}, "link_s=null .* needs one"),
        ({"link_s": 1e-5}, "one that shares them has none"),
        ({"drafter_gpus": "own", "link_s": -1.0}, "link_s=-1.0 must lie in 0..1 s"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SpeculationConfig(**({"alpha": 0.6} | settings))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha_low": 0.9}, "not above the high one"),
        ({"alpha_high": 1.1}, "must be rates in"),
        ({"alpha_low": float("nan")}, "must be rates in"),
        ({"high_tokens": 1.0}, "high_tokens=1.0 must lie in 2..1e9"),
        ({"low_tokens": float("inf")}, "low_tokens=inf must lie"),
    ],
)
def test_impossible_regimes_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        RegimeConfig(**(REGIME | change))


def test_a_shorter_draft_cuts_the_tree():
    nodes = [SpeculationConfig(alpha=0.6, gamma=gamma, **TREE).draft_tokens for gamma in range(4)]
    assert nodes == [0, 4, 12, 20]
    assert SpeculationConfig(alpha=0.6, gamma=5).draft_tokens == 5


def test_a_third_partys_model_may_look_at_any_setting():
    SpeculationConfig(acceptance="coin", alpha_spread=0.3, alphas=[0.5], path="coin.csv")
