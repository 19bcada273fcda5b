"""Settings of a cluster: what makes no sense is refused, and what would have no effect."""

import pytest

from simulator.config import HardwareConfig
from simulator.errors import ConfigError
from simulator.mapping import from_mapping
from simulator.serving.cluster_config import ClusterConfig

POOLS = [{"name": "a"}, {"name": "b"}]
APART = [{"name": "p", "role": "prefill"}, {"name": "d", "role": "decode", "replicas": 2}]
SCALED = {"max_replicas": 4, "target": 8}
LOSS = {"at_s": 1, "replica": 0}

REFUSED = [
    ({"pools": [APART[0]]}, "roles prefill: either all"),
    ({"pools": [APART[1]]}, "roles decode: either all"),
    ({"pools": [*APART, {"name": "m"}]}, "roles decode, mixed, prefill"),
    ({"pools": [{"name": "a", "role": "prefil"}]}, "Did you mean 'prefill'"),
    ({"pools": [{"name": "a"}, {"name": "a"}]}, "2 pools named 'a'"),
    ({"pools": [{"name": "a", "replicas": 0}]}, "replicas=0"),
    ({"pools": [{"name": "a", "gpus": 4}]}, "Did you mean 'gpu'"),
    ({"kv_link": {"bytes_per_s": 1e9}}, "nothing would be sent"),
    ({"pools": APART, "kv_link": {"bytes_per_s": 0}}, "must be positive"),
    ({"pools": APART, "kv_link": {"latency_s": -1}}, "latency_s=-1"),
    (
        {"pools": APART, "kv_link": {"degraded": [{"at_s": 1, "for_s": 1, "factor": 1}]}},
        "factor=1",
    ),
    (
        {
            "pools": APART,
            "kv_link": {
                "degraded": [
                    {"at_s": 5, "for_s": 1, "factor": 0.5},
                    {"at_s": 1, "for_s": 5, "factor": 0.5},
                ]
            },
        },
        "from 5 s starts before the one from 1 s ends",
    ),
    ({"autoscaling": SCALED | {"min_replicas": 5}}, "min_replicas=5 and max_replicas=4"),
    ({"autoscaling": SCALED | {"signal": "queues"}}, "Did you mean 'queue'"),
    ({"autoscaling": SCALED | {"target": 0}}, "target=0"),
    ({"autoscaling": SCALED | {"signal": "utilisation", "target": 80}}, "below 1"),
    ({"autoscaling": SCALED | {"interval_s": 0}}, "interval_s=0"),
    ({"autoscaling": SCALED | {"startup_s": float("inf")}}, "startup_s=inf"),
    ({"autoscaling": SCALED | {"min_replicas": 2}}, "starts with 1 replicas, outside"),
    ({"autoscaling": SCALED, "pools": POOLS}, "there are several pools"),
    ({"autoscaling": SCALED | {"pool": "x"}, "pools": POOLS}, "unknown pool 'x'"),
    ({"failures": {}}, "nothing would fail"),
    ({"failures": {"mtbf_s": 5}}, "set both or neither"),
    ({"failures": {"mtbf_s": 5, "mttr_s": -1}}, "mttr_s=-1"),
    ({"failures": {"losses": [LOSS | {"replica": 1}]}}, "replica 1, but there are replicas 0 to 0"),
    ({"failures": {"losses": [LOSS | {"replica": 3}]}, "pools": APART}, "replicas 0 to 2"),
    ({"failures": {"losses": [LOSS | {"at_s": -1}]}}, "at_s=-1"),
    ({"failures": {"losses": [LOSS | {"repair_s": 0}]}}, "repair_s=0"),
    ({"failures": {"losses": [LOSS], "max_retries": -1}}, "max_retries=-1"),
    ({"prefix_affinity": {"min_share": 2}}, "min_share=2"),
    ({"prefix_affinity": {"imbalance_ratio": 0.5}}, "at least 1"),
]


def made(settings, replicas=1):
    """What a configuration would hold, checked beside ``hardware.replicas``."""
    config = from_mapping(ClusterConfig, settings, "cluster")
    config.check_beside(replicas)
    return config


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        made(settings)


def test_replicas_beside_pools_have_no_effect():
    with pytest.raises(ConfigError, match=r"hardware\.replicas=2 has no effect"):
        made({"pools": POOLS}, replicas=2)
    assert HardwareConfig().replicas == 1


def test_a_scaled_pool_has_numbers_for_all_that_it_may_have():
    settings = {
        "pools": APART,
        "autoscaling": SCALED | {"pool": "d"},
        "failures": {"losses": [LOSS | {"replica": 4}]},
    }
    assert made(settings).slots(1) == [1, 4]


def test_only_what_changes_a_cluster_gives_it_events():
    assert not made({}).changes
    assert not made({"pools": APART, "kv_link": {"latency_s": 0.1}}).changes
    assert made({"autoscaling": SCALED}).changes
    assert made({"failures": {"losses": [LOSS]}}).changes
    dip = {"at_s": 1, "for_s": 1, "factor": 0.5}
    assert made({"pools": APART, "kv_link": {"degraded": [dip]}}).changes
