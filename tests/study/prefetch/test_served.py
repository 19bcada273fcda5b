"""Serving by batch: which configurations arms have, and where the crossover lies."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.experts.drafts import DraftView
from simulator.experts.predictor import ExpertPredictor
from simulator.experts.recorded import write_routes
from simulator.study.prefetch.replay import Room, windows
from simulator.study.prefetch.served import (
    AFTER,
    BEFORE,
    RESIDENT,
    Measured,
    Point,
    Serving,
    check_batches,
    crossover,
    predicted_distinct,
)
from simulator.study.prefetch.shift import LONG_TAIL, ON_DEMAND
from simulator.study.prefetch.traces import drawn_traces


def runs(arm, times, traffic=BEFORE):
    return [Measured(Point(arm, traffic, batch, 0), time, time) for batch, time in times.items()]


ON_DEMAND_RUNS = runs(ON_DEMAND, {1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0})


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({1: 0.9, 2: 1.9, 4: 4.0, 8: 8.1}, 4),
        ({1: 1.1, 2: 1.9, 4: 3.9, 8: 8.1}, 8),  # slower at first does not count as crossing
        ({1: 0.9, 2: 1.9, 4: 3.9, 8: 7.9}, None),
        ({1: 1.1, 2: 2.1, 4: 4.1, 8: 8.1}, 1),
    ],
)
def test_the_crossover_is_where_it_stops_being_faster_for_good(times, expected):
    found = ON_DEMAND_RUNS + runs("ce", times) + runs("ce", dict.fromkeys(times, 99.0), AFTER)
    assert crossover(found, "ce") == expected


def test_arms_have_equal_room_and_all_resident_has_all(tmp_path):
    pool = drawn_traces(LONG_TAIL, 1, 16, 32, 0).before
    routes, saved = tmp_path / "routes.parquet", tmp_path / "predictor.npz"
    write_routes(pool, "gpt_oss_20b", routes)
    view = DraftView(2, 0.0, 0)
    parameters = (np.zeros((1, 2, 3)), np.zeros((1, 3)), np.zeros((1, 3, 32)), np.zeros((1, 32)))
    ExpertPredictor(parameters, 1, 32, 1, view).save(saved)
    words = ("model=gpt_oss_20b", "hardware=l40", "workload=fixed_batch", "slo=none")
    serving = Serving(
        words=words, routes={BEFORE: routes}, predictors={"ce": saved}, room=Room(8, 4)
    )
    assert serving.arms == (ON_DEMAND, RESIDENT, "ce")
    rooms = [serving.config(arm, BEFORE, 4, 32).experts.offload for arm in serving.arms]
    assert [room.slots for room in rooms] == [12, 32, 12]
    assert [room.prefetch for room in rooms] == ["none", "none", "learned"]
    assert serving.config("ce", BEFORE, 4, 32).workload.concurrency == 4


def test_a_predictor_expects_more_distinct_experts_of_more_requests():
    traces = drawn_traces(LONG_TAIL, 1, 16, 32, 0)
    one, none = 9.0 * np.eye(32)[None], np.zeros((1, 32))
    predictor = ExpertPredictor((one, none, one, none), 1, 32, 1, DraftView(32, 0.0, 0))
    picked = np.eye(32)[traces.before.chosen[0, :, 0]]  # features that say it all
    steps = windows(traces.before, 4)
    found = [predicted_distinct(predictor, picked, steps, batch) for batch in (1, 4, 64)]
    assert found[0] == pytest.approx(
        np.mean([len(set(traces.before.chosen[0, step, 0])) for step in steps]), rel=0.1
    )
    assert found[0] < found[1] < found[2] <= 32


@pytest.mark.parametrize("batches", [(), (0, 1), (2, 1), (1, 1)])
def test_batches_must_rise(batches):
    with pytest.raises(ConfigError, match="rising"):
        check_batches(batches)
