"""The collector rests while the loop turns, and nothing waits for it that grows with the run."""

import gc

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload
from helpers.suites import some

from simulator.serving.collector import collector_paused
from simulator.speculation.policies import Telemetry

SETTINGS = {
    "ring": {},
    "tight cache": {"kv_capacity_tokens": 400},
    "closed loop": {"users": 20},
    "slots": {"adaptive": True},
}


class InTurn:
    """Every other step drafts."""

    def decide(self, telemetry: Telemetry) -> int:
        return 2 * (telemetry.gamma == 0)


def cyclic_garbage(requests, *, users=None, adaptive=False, **settings):
    """Objects that only the collector can free after a run."""
    arrivals = np.zeros(requests) if users else np.arange(requests) * 0.3
    workload = FixedWorkload(arrivals, [20] * requests, [30] * requests, concurrency=users)
    policy = InTurn if adaptive else None
    gc.collect()
    Bench().run(workload, FakeSteps(gamma=2, step_s=0.02), replicas=2, policy=policy, **settings)
    return gc.collect()


@pytest.mark.parametrize("name", some(SETTINGS, "ring", "slots"))
def test_garbage_that_only_the_collector_frees_does_not_grow_with_the_run(name):
    few, many = (cyclic_garbage(requests, **SETTINGS[name]) for requests in (100, 1000))
    # A row of the last trace, a lost timer: no more than that, where 900 requests and thousands of
    # steps lie between the two.
    assert many - few < 100


def test_no_collection_runs_while_the_loop_turns(monkeypatch):
    class Watching(FakeSteps):
        def decode_window(self, requests, context_tokens):
            seen.append(gc.isenabled())
            return super().decode_window(requests, context_tokens)

    seen = []
    workload = FixedWorkload([0.0] * 10, [20] * 10, [30] * 10)
    Bench().run(workload, Watching())
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def test_the_collector_comes_back_also_after_an_error():
    with pytest.raises(ZeroDivisionError), collector_paused():
        _ = 1 // gc.isenabled()
    assert gc.isenabled()


def test_one_that_was_off_stays_off():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
