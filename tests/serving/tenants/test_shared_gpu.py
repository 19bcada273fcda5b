"""A shared GPU: processor sharing between a replica and the endpoint."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.tenants.shared_gpu import Party, SharedGpu


def ends(
    share: float, replica: list[tuple[float, float]], server: list[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    """Run work, given as pause before and duration, of both; return when each piece ended."""
    env = simpy.Environment()
    gpu = SharedGpu(env, share)
    found: tuple[list[float], list[float]] = [], []

    def work(
        party: Party, pieces: list[tuple[float, float]], out: list[float]
    ) -> Generator[simpy.Event, Any, None]:
        for pause_s, duration_s in pieces:
            yield env.timeout(pause_s)
            yield party.follow(duration_s)
            out.append(env.now)

    env.process(work(gpu.replica, replica, found[0]))
    env.process(work(gpu.server, server, found[1]))
    env.run()
    return found


def test_alone_work_takes_what_it_takes() -> None:
    assert ends(0.5, [(0.0, 2.0), (1.0, 0.5)], [])[0] == [2.0, 3.5]


def test_together_each_goes_on_at_its_share_until_the_other_is_done() -> None:
    # From 1 to 5 the server has a quarter: it ends 1 s of work at 5. The replica did 1 s alone and
    # 3 s by then, and its last second alone.
    replica, server = ends(0.25, [(0.0, 5.0)], [(1.0, 1.0)])
    assert server == [pytest.approx(5.0)]
    assert replica == [pytest.approx(6.0)]


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0.05, 0.95),
    first=st.lists(st.tuples(st.just(0.0), st.floats(0.01, 3.0)), min_size=1, max_size=8),
    second=st.lists(st.tuples(st.just(0.0), st.floats(0.01, 3.0)), min_size=1, max_size=8),
)
def test_no_work_is_lost_or_won_however_the_gpu_is_shared(
    share: float, first: list[tuple[float, float]], second: list[tuple[float, float]]
) -> None:
    # Neither pauses, so the GPU is never idle before both are done.
    replica, server = ends(share, first, second)
    total = sum(duration_s for _, duration_s in [*first, *second])
    assert max(replica[-1], server[-1]) == pytest.approx(total)


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0.05, 0.95),
    late_s=st.floats(0.0, 3.0),
    replica_s=st.floats(0.01, 5.0),
    server_s=st.floats(0.01, 5.0),
)
def test_two_pieces_end_when_weighted_processor_sharing_says(
    share: float, late_s: float, replica_s: float, server_s: float
) -> None:
    replica, server = ends(share, [(0.0, replica_s)], [(late_s, server_s)])
    # When the second comes, this is left of the first; both go on until one of them is done.
    left_s = max(0.0, replica_s - late_s)
    if left_s / (1.0 - share) <= server_s / share:
        both_s = left_s / (1.0 - share)
        first = late_s + both_s if left_s else replica_s
        last = late_s + both_s + (server_s - share * both_s)
        assert (replica, server) == ([pytest.approx(first)], [pytest.approx(last)])
    else:
        both_s = server_s / share
        last = late_s + both_s + (left_s - (1.0 - share) * both_s)
        assert (replica, server) == ([pytest.approx(last)], [pytest.approx(late_s + both_s)])


def test_work_that_is_dropped_leaves_the_gpu_to_the_other() -> None:
    env = simpy.Environment()
    gpu = SharedGpu(env, 0.5)
    gpu.replica.follow(100.0)
    done = gpu.server.follow(2.0)
    env.timeout(1.0).callbacks.append(lambda _: gpu.replica.abandon())
    env.run(until=done)
    assert env.now == pytest.approx(2.5)  # half of the first second, then all
    gpu.replica.abandon()  # nothing to forget
    assert gpu.replica.done is None
