"""Routers choose among replicas of which a test says all."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, new_router

from simulator.errors import ConfigError
from simulator.serving.cluster_config import AffinityConfig
from simulator.serving.request import Request, Traits
from simulator.serving.router import DRAWS, ROUTERS, uniforms
from simulator.streams import Streams


@dataclass
class Replica:
    """What a router sees; `cached` is by request number."""

    index: int
    outstanding: int = 0
    outstanding_tokens: int = 0
    cached: dict = field(default_factory=dict)

    def cached_tokens(self, request):
        return self.cached.get(request.request_id, 0)


def request(number=0, session=-1, prompt=100):
    return Request(number, 0.0, prompt, 1, np.zeros(1, np.int64), None, Traits(session=session))


def made(kind, **affinity):
    return ROUTERS.get(kind)(AffinityConfig(**affinity), uniforms(Streams(1), "router"))


def loaded(*loads):
    return [Replica(index, load) for index, load in enumerate(loads)]


def test_round_robin_goes_on_where_the_list_becomes_shorter():
    router = made("round_robin")
    three, two = loaded(0, 0, 0), loaded(0, 0)
    assert [router.choose(three, request()) for _ in range(5)] == [0, 1, 2, 0, 1]
    assert [router.choose(two, request()) for _ in range(3)] == [0, 1, 0]


def test_least_outstanding_takes_the_first_of_equals():
    assert made("least_outstanding").choose(loaded(3, 1, 2, 1), request()) == 1


def test_tokens_tell_a_long_request_from_short_ones():
    replicas = [Replica(0, 1, 9000), Replica(1, 3, 300)]
    assert made("least_outstanding").choose(replicas, request()) == 0
    assert made("least_outstanding_tokens").choose(replicas, request()) == 1


def test_power_of_two_draws_two_different_replicas_with_equal_chance():
    router, replicas = made("power_of_two"), loaded(0, 0, 0, 5)
    chosen = np.bincount([router.choose(replicas, request()) for _ in range(9000)], minlength=4)
    assert chosen[3] == 0  # never against itself
    # Each of the others is drawn first in 1/4 of the draws, and beats the loaded one in 1/12 more.
    assert chosen[:3] == pytest.approx(3000, abs=4 * np.sqrt(9000 * 2 / 9))


def test_power_of_two_of_one_is_that_one():
    assert made("power_of_two").choose(loaded(7), request()) == 0


def test_draws_are_those_of_the_stream_block_by_block():
    drawn = uniforms(Streams(3, 1), "router")
    first = [next(drawn) for _ in range(DRAWS + 1)]
    assert first[0] == Streams(3, 1).block("router", 0).random()
    assert first[-1] == Streams(3, 1).block("router", 1).random()


@pytest.mark.parametrize(
    ("loads", "cached", "chosen"),
    [
        ((2, 1, 3), {}, 1),  # nobody knows the prompt: by load
        ((2, 1, 3), {0: 40, 2: 50}, 1),  # half a prompt is not more than half
        ((2, 1, 3), {0: 60, 2: 80}, 2),  # the longest prefix
        ((3, 1, 2), {0: 80, 2: 80}, 2),  # of equal prefixes the least loaded
        ((34, 1, 2), {0: 80}, 1),  # 33 more than another, and 34 times as many: out of balance
        ((33, 1, 2), {0: 80}, 0),  # 32 more: not yet
    ],
)
def test_prefix_affinity_weighs_prefix_against_load(loads, cached, chosen):
    replicas = loaded(*loads)
    for index, tokens in cached.items():
        replicas[index].cached[0] = tokens
    assert made("prefix_affinity").choose(replicas, request()) == chosen


def test_imbalance_needs_the_factor_too():
    replicas = loaded(100, 60)
    replicas[0].cached[0] = 90
    assert made("prefix_affinity").choose(replicas, request()) == 1
    assert made("prefix_affinity", imbalance_ratio=2.0).choose(replicas, request()) == 0


def test_a_session_stays_and_moves_only_when_its_replica_is_gone():
    router, replicas = made("sticky"), loaded(1, 0, 2)
    assert router.choose(replicas, request(session=5)) == 1
    replicas[1].outstanding = 50
    assert router.choose(replicas, request(session=5)) == 1
    assert router.choose(replicas, request(session=6)) == 0
    without = [replicas[0], replicas[2]]
    assert router.choose(without, request(session=5)) == 0
    assert router.choose(replicas, request(session=5)) == 0  # stays where it went


def test_sessions_that_ended_are_forgotten(monkeypatch):
    monkeypatch.setattr("simulator.serving.router.MOST_SESSIONS", 3)
    router, replicas = made("sticky"), loaded(0, 1)
    for session in (1, 2, 3, 1, 4):
        assert router.choose(replicas, request(session=session)) == 0
    replicas[0].outstanding = 9
    assert len(router._homes) == 3
    assert router.choose(replicas, request(session=1)) == 0  # it spoke since 2 did
    assert router.choose(replicas, request(session=2)) == 1


def test_an_unknown_router_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'power_of_two'"):
        ROUTERS.get("power_of_tow")


@pytest.mark.parametrize("kind", sorted(ROUTERS))
def test_every_router_serves_a_run_to_its_end(kind):
    workload = FixedWorkload([0.1 * i for i in range(40)], [20] * 40, [5] * 40)
    bench = Bench().run(workload, FakeSteps(), router=kind, replicas=3)
    assert sorted(bench.requests.column("request_id")) == list(range(40))
    again = Bench().run(workload, FakeSteps(), router=kind, replicas=3)
    assert again.requests.rows == bench.requests.rows


def test_makers_of_routers_share_no_state():
    assert new_router("round_robin")(iter(())) is not new_router("round_robin")(iter(()))
