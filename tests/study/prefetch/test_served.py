"""Serving by batch: which configurations arms have, and how runs are compared."""

import numpy as np
import pytest

from simulator.experts.drafts import DraftView
from simulator.experts.predictor import ExpertPredictor
from simulator.experts.recorded import write_routes
from simulator.study.prefetch.question import LONG_TAIL
from simulator.study.prefetch.replay import Room
from simulator.study.prefetch.served import (
    AFTER,
    BEFORE,
    RESIDENT,
    Serving,
    by_batch,
    of_batch,
    tpot_ratio,
)
from simulator.study.prefetch.shift import ON_DEMAND
from simulator.study.prefetch.traces import drawn_traces
from tests.helpers.prefetch import runs


def test_arms_have_equal_room_and_all_resident_has_all(tmp_path):
    pool = drawn_traces(LONG_TAIL, 1, 16, 32, 0).before
    routes, saved = tmp_path / "routes.parquet", tmp_path / "predictor.npz"
    write_routes(pool, "gpt_oss_20b", routes)
    view = DraftView(2, 0.0, 0)
    parameters = (np.zeros((1, 2, 3)), np.zeros((1, 3)), np.zeros((1, 3, 32)), np.zeros((1, 32)))
    ExpertPredictor(parameters, 1, 32, 1, view).save(saved)
    words = ("model=gpt_oss_20b", "hardware=l40", "workload=fixed_batch", "slo=none")
    serving = Serving(
        words=words, routes={BEFORE: routes}, predictors={"ce": saved}, room=Room(8, 4), experts=32
    )
    assert serving.arms == (ON_DEMAND, RESIDENT, "ce")
    found = {arm: serving.config(arm, BEFORE) for arm in serving.arms}
    rooms = [config.experts.offload for config in found.values()]
    assert [room.slots for room in rooms] == [12, 32, 12]
    assert [room.prefetch for room in rooms] == ["none", "none", "learned"]
    few, many = (of_batch(found["ce"], batch) for batch in (1, 32))
    assert (few.workload.concurrency, few.run.requests) == (1, 48)
    assert (many.workload.concurrency, many.run.requests) == (32, 256)


def test_arms_are_compared_within_replications():
    found = []
    for replication, slow in enumerate((1.0, 3.0)):
        found += runs(ON_DEMAND, {1: slow}, replication=replication)
        found += runs("ce", {1: 0.9 * slow}, replication=replication)
    found += runs("ce", {1: 99.0}, traffic=AFTER)
    ratio = tpot_ratio(found, "ce", BEFORE)[1]
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.9, 0.9, 0.9))


def test_figures_come_by_rising_batch_whatever_the_order_of_the_runs():
    found = runs("ce", {4: 4.0, 1: 1.0}) + runs("ce", {2: 2.0})
    assert by_batch(found, "ce", BEFORE) == {1: [1.0], 2: [2.0], 4: [4.0]}
    assert list(by_batch(found, "ce", BEFORE)) == [1, 2, 4]
