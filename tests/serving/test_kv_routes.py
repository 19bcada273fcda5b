"""Keys and values on a topology: by hand, from prefill to decode replicas."""

import pytest
import simpy
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, deployment
from helpers.topologies import slow_node

from simulator.errors import ConfigError
from simulator.hardware.link_network import LinkNetwork
from simulator.serving.cluster_config import FailuresConfig, LossConfig
from simulator.serving.kv_routes import KvRoutes
from simulator.serving.link_config import DegradedLinkConfig
from simulator.trace.schema import EVENT_NAMES


def pools(prefill=1, decode=1, gpus=1):
    """Prefill takes 1 s and leaves 10 bytes a token; decode steps take 0.25 s."""
    return [
        deployment(
            FakeSteps(), role="prefill", replicas=prefill, kv_bytes_per_token=10.0, gpus=gpus
        ),
        deployment(FakeSteps(step_s=0.25), role="decode", replicas=decode),
    ]


def finishes(bench):
    """When each request left, by number."""
    return [row[bench.requests.columns.index("finish_s")] for row in sorted(bench.requests.rows)]


def dip(**settings):
    return DegradedLinkConfig(**({"at_s": 2.0, "for_s": 2.0, "factor": 0.1} | settings))


def test_alone_it_is_bandwidth_and_latency_of_the_route():
    """100 bytes at 40 bytes/s and 0.5 s of latency, as over a link of its own."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [5]), pools(), topology=slow_node(), router="round_robin"
    )
    assert finishes(bench) == [pytest.approx(1.0 + 100 / 40 + 0.5 + 4 * 0.25)]


def test_two_senders_share_the_link_of_the_receiver():
    """Over links of their own both would take 2.5 s; into one GPU both take 5 s."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 0.0], [10, 10], [2, 2]),
        pools(prefill=2),
        topology=slow_node(latency_s=0.0),
        router="round_robin",
    )
    assert finishes(bench) == pytest.approx([1.0 + 5.0 + 0.25] * 2)


def test_to_two_receivers_they_do_not_meet():
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 0.0], [10, 10], [2, 2]),
        pools(prefill=2, decode=2),
        topology=slow_node(latency_s=0.0),
        router="round_robin",
    )
    assert finishes(bench) == pytest.approx([1.0 + 2.5 + 0.25] * 2)


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (range(1), range(1, 2), 2.5),
        (range(2), range(2, 3), 2.5),  # both into one GPU
        (range(2), range(2, 4), 1.25),  # each to its own
        (range(1), range(1, 3), 2.5),  # all out of one
    ],
)
def test_all_gpus_send_at_once(start, end, seconds):
    env = simpy.Environment()
    wire = KvRoutes(env, LinkNetwork(env, slow_node(latency_s=0.0)), [start, end], [])
    env.run(wire.send(0, 1, 100.0))
    assert env.now == pytest.approx(seconds)


def test_replicas_stand_on_gpus_in_order():
    """Two prefill replicas of three GPUs, then the decode replicas: GPU 6 and 7."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 0.0], [12, 12], [2, 2]),
        pools(prefill=2, decode=2, gpus=3),
        topology=slow_node(8, latency_s=0.0),
        degraded_links=[dip(link="gpu7-hub0", at_s=0.0, for_s=100.0)],
        router="round_robin",
    )
    assert finishes(bench) == pytest.approx([1 + 3.0 + 0.25, 1 + 30.0 + 0.25])


def test_a_dip_of_a_link_delays_what_goes_over_it():
    """40 bytes are through at 2 s, 8 at 4 s; the rest takes 1.3 s."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [2]),
        pools(),
        topology=slow_node(latency_s=0.0),
        degraded_links=[dip(link="hub0-gpu1")],
    )
    assert finishes(bench) == [pytest.approx(4.0 + 52 / 40 + 0.25)]
    names = [EVENT_NAMES[row[1]] for row in bench.changes.rows]
    assert [name for name in names if "link" in name] == ["link_slower", "link_back"]


def test_a_dip_elsewhere_does_nothing():
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [2]),
        pools(),
        topology=slow_node(latency_s=0.0),
        degraded_links=[dip(link="gpu3-hub0")],
    )
    assert finishes(bench) == [pytest.approx(1.0 + 2.5 + 0.25)]


@pytest.mark.parametrize(
    ("lost", "survivor_s"),
    [
        (0, 1 + 1.0 + 80 / 40),  # its sender: 20 of the other's 100 bytes are through at 2 s
        (1, 1 + 1.0 + 80 / 40),
    ],
)
def test_a_lost_sender_makes_room_for_the_others(lost, survivor_s):
    """Two share a link from 1 s; one is lost at 2 s and does not come back before the end."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 0.0], [10, 10], [2, 2]),
        pools(prefill=2),
        topology=slow_node(latency_s=0.0),
        router="round_robin",
        failures=FailuresConfig(losses=(LossConfig(at_s=2.0, replica=lost),), max_retries=0),
    )
    ends = dict(enumerate(finishes(bench)))
    assert ends[1 - lost] == pytest.approx(survivor_s + 0.25)


def test_lost_after_the_last_byte_it_still_frees_nothing_twice():
    """The bytes are sent at 3.5 s and there at 4 s; the receiver is lost in between."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [2]),
        pools(decode=2),
        topology=slow_node(),
        router="round_robin",
        failures=FailuresConfig(losses=(LossConfig(at_s=3.7, replica=1),)),
    )
    assert finishes(bench) == [pytest.approx(3.7 + 1.0 + 2.5 + 0.5 + 0.25)]


def test_a_link_that_is_not_there():
    env = simpy.Environment()
    with pytest.raises(ConfigError, match=r"cluster\.degraded_links \(test rig\)"):
        KvRoutes(env, LinkNetwork(env, slow_node()), [], [dip(link="gpu9-hub0")])
