"""Steps of a trace taken apart again by the cost model that priced them."""

import numpy as np
import pytest

from simulator.compose import compose
from simulator.scenario import build
from simulator.study.step_parts import StepParts


@pytest.fixture(scope="module")
def scenario():
    return build(compose(["workload=chat", "speculation.gamma=3"]))


def steps(**columns):
    defaults = {"replica": 0, "decode_requests": 8, "query_tokens": 4, "prefill_tokens": 0}
    columns = defaults | {"context_tokens": 8 * 1024, "duration_s": 0.02} | columns
    return {name: np.array([value]) for name, value in columns.items()}


def taken_apart(scenario, **columns):
    return {name: part.item() for name, part in StepParts(scenario)(steps(**columns)).items()}


def test_a_round_splits_as_it_was_priced(scenario):
    model = scenario.step_model
    cost = model.step(model.verify_shape(8, 3, 1024.0), 3)
    parts = taken_apart(scenario, duration_s=cost.total_s)
    assert sum(parts.values()) == pytest.approx(cost.total_s)
    assert parts["draft"] == pytest.approx(cost.parts["draft"].seconds)
    assert parts["rejection"] == pytest.approx(cost.parts["rejection"].seconds)
    assert (parts["decode"], parts["prefill"]) == (0.0, 0.0)


def test_prompts_take_what_a_step_took_beyond_its_round(scenario):
    alone, mixed = (taken_apart(scenario, prefill_tokens=n, duration_s=0.2) for n in (0, 500))
    assert alone["prefill"] == 0.0
    assert mixed["prefill"] > 0.1
    assert sum(mixed.values()) == pytest.approx(0.2)


def test_a_step_shorter_than_its_terms_is_scaled(scenario):
    parts = taken_apart(scenario, prefill_tokens=1, duration_s=1e-4)
    assert sum(parts.values()) == pytest.approx(1e-4)
    assert min(parts.values()) >= 0.0


def test_plain_steps_and_prompts_alone_have_one_part(scenario):
    assert taken_apart(scenario, query_tokens=1)["decode"] == pytest.approx(0.02)
    alone = taken_apart(scenario, decode_requests=0, query_tokens=1, prefill_tokens=90)
    assert alone["prefill"] == pytest.approx(0.02)
