"""The overlap law beside its archetypes: what the comparison is made of."""

import pytest

from simulator.errors import TableError
from simulator.study.tables import routing as validate_routing
from simulator.study.tables.routing import sampled_steps


def test_one_token_of_one_request_is_the_same_to_both():
    (step,) = sampled_steps("qwen1_5_moe_a2_7b", [(1, 1)])
    assert step.sampled_experts == step.law_experts == pytest.approx(4)
    assert step.experts_error == 0
    assert step.share_error == pytest.approx(0, abs=0.01)


def test_a_step_does_not_depend_on_its_neighbours():
    (alone,) = sampled_steps("mixtral_8x7b", [(2, 4)])
    beside = sampled_steps("mixtral_8x7b", [(1, 1), (2, 4)])
    assert beside[1] == alone


def test_a_model_without_archetype_or_exponent_is_refused(monkeypatch):
    with pytest.raises(TableError, match=r"archetype 'glm_4'\. Did you mean 'glm_5'"):
        sampled_steps("glm_4")
    monkeypatch.setattr(validate_routing, "measured_overlap", lambda model: None)
    with pytest.raises(TableError, match="unknown measured overlap 'glm_5'"):
        sampled_steps("glm_5")
