"""Acceptance by traffic class: that of its class for each request, of its presets for a mix."""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, make_traits

from simulator.compose import compose
from simulator.drafting import acceptance_of
from simulator.errors import InvariantError
from simulator.speculation.by_class import ClassAcceptance
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.profiled import ProfiledAcceptance

BOTH = ClassAcceptance([PositionAcceptance([0.9]), PositionAcceptance([0.2])], [1.0, 3.0])


def test_each_class_accepts_at_its_own_rate():
    classes = np.arange(4000) % 2
    outputs = np.full(4000, 5)
    runs = BOTH.of(classes).draw(outputs, 1, np.random.default_rng(1)).reshape(4000, 5)
    assert runs[classes == 0].mean() == pytest.approx(0.9, abs=0.015)
    assert runs[classes == 1].mean() == pytest.approx(0.2, abs=0.02)


def test_draws_do_not_depend_on_the_draft_length():
    classes, outputs = np.array([1, 0, 0, 1]), np.array([9, 1, 30, 4])
    deep, shallow = (
        BOTH.of(classes).draw(outputs, gamma, np.random.default_rng(2)) for gamma in (5, 2)
    )
    assert np.array_equal(np.minimum(deep, 2), shallow)


def test_rounds_add_up_over_classes():
    """Of four requests of n tokens, one takes n / 1.9 rounds and three take n / 1.2 each."""
    assert BOTH.tokens_per_round(1) == pytest.approx(4 / (1 / 1.9 + 3 / 1.2))


def test_a_run_draws_for_the_classes_of_its_requests():
    certain = ClassAcceptance([PositionAcceptance([1.0]), PositionAcceptance([0.0])], [1.0, 1.0])
    workload = FixedWorkload([0.0] * 6, [4] * 6, [9] * 6)
    workload.traits = make_traits(6, traffic_class=[0, 1, 1, 0, 1, 0])
    bench = Bench().run(workload, FakeSteps(gamma=3), acceptance=certain)
    rounds = dict(
        zip(bench.requests.column("request_id"), bench.requests.column("rounds"), strict=True)
    )
    assert [rounds[number] for number in range(6)] == [2, 8, 8, 2, 8, 2]


def test_models_that_tell_draws_apart_differently_do_not_mix():
    by_token = compose(["speculation=regime"])
    with pytest.raises(InvariantError, match="in different ways"):
        ClassAcceptance([PositionAcceptance([0.5]), acceptance_of(by_token)], [1.0, 1.0])


def test_parts_of_a_mix_have_the_acceptance_of_their_tasks():
    mix = ["workload=mix", "speculation=profile", "speculation.profile=llama_3_2_1b_dspark"]
    found = acceptance_of(compose(mix))
    assert isinstance(found, ClassAcceptance)
    chat, code, _ = (part.tokens_per_round(3) for part in found.parts)
    assert code > chat + 0.3
    for one in ([*mix, "speculation.task=chat"], ["workload=chat", *mix[1:]]):
        assert isinstance(acceptance_of(compose(one)), ProfiledAcceptance)
