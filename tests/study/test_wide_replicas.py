"""Replicas that span nodes: what is refused, and what explain and simulate say of one."""

import re
from dataclasses import replace

import pytest
from helpers.scenarios import make_config

from simulator.compose import compose
from simulator.config import HardwareConfig
from simulator.errors import ConfigError
from simulator.experts.config import ExpertsConfig
from simulator.models.operators import Dispatch
from simulator.scenario import build
from simulator.serving.cluster_config import ClusterConfig, PoolConfig
from simulator.study.assumptions import assumptions
from simulator.study.explain import explain
from simulator.workload.config import WorkloadConfig

SHORT = WorkloadConfig(kind="closed_loop", concurrency=32, prompt_tokens=16, output_tokens=16)
SIXTEEN = {
    "gpu": "h100_sxm",
    "tensor_parallel": 1,
    "data_parallel": 16,
    "expert_parallel": 16,
    "topology": "rails_infiniband_h100",
}


def wide(*, redundant=8, **hardware):
    """Mixtral's eight experts and as many replicas over sixteen GPUs, one each."""
    return make_config(
        "mixtral_8x7b",
        hardware=HardwareConfig(**SIXTEEN | hardware),
        experts=ExpertsConfig(redundant=redundant),
        workload=SHORT,
    )


REFUSED = [
    ({"topology": None}, r"exceeds the 8 GPUs .* hardware\.topology=NAME with at least 16 GPUs"),
    ({"topology": "nvswitch_h100"}, "takes 16 GPUs, but .*nvswitch_h100 has 8. Take a larger one"),
    ({"topology": "rails_infinband_h100"}, "Did you mean 'rails_infiniband_h100'"),
    ({"data_parallel": 12, "expert_parallel": 12, "redundant": 4}, "fill no nodes of 8"),
    ({"redundant": 0}, r"leaves GPUs without any .* experts\.redundant=8"),
    ({"all2all_backend": "deepep_low_latncy"}, "Did you mean 'deepep_low_latency'"),
    ({"tensor_parallel": None, "topology": "nvswitch_h100"}, "fits no tensor-parallel group"),
]


@pytest.mark.parametrize(
    "override", ["experts.redundant=4", "hardware.all2all_backend=deepep_low_latency"]
)
def test_what_is_wrong_at_any_tensor_parallel_size_is_not_put_down_to_the_size(override):
    with pytest.raises(ConfigError, match=rf"^{re.escape(override)} .*no effect"):
        build(compose([override]))


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_cannot_span_nodes_is_refused_with_the_remedy(change, message):
    with pytest.raises(ConfigError, match=message):
        build(wide(**change))


def test_two_topologies_of_one_replica_are_refused():
    pools = [PoolConfig(name="p", role="prefill"), PoolConfig(name="d", role="decode")]
    cluster = ClusterConfig(pools=pools, topology="nvswitch_h100")
    with pytest.raises(ConfigError, match="Name one for both"):
        replace(wide(), cluster=cluster)


def test_the_shipped_scenario_has_throughput_kernels_for_prefill_and_low_latency_for_decode():
    pools = build(compose(["scenario=wide_ep"])).pools
    assert [pool.parallelism.gpus for pool in pools] == [32, 72]
    backends = ["deepep_high_throughput", "deepep_low_latency"]
    for pool, backend, kind in zip(pools, backends, ("fitted", "assumed"), strict=True):
        forward = pool.step_model.target
        (dispatch,) = (op for op in forward.operators if isinstance(op, Dispatch))
        assert dispatch.backend == backend
        assert forward.experts(1e4, 1e4)["dispatch"].kind == kind  # of 32 GPUs there are rows


@pytest.mark.parametrize("backend", ["allgather_reducescatter", "deepep_low_latency"])
def test_a_replica_over_two_nodes_is_explained(backend):
    scenario = build(wide(all2all_backend=backend))
    found = explain(scenario, batch=32, context_tokens=16)
    assert found.scenario["hardware"].startswith("16 x NVIDIA H100 SXM 80 GB, TP 1, DP 16, EP 16")
    assert all(found.plain.seconds(part) > 0 for part in ("dispatch", "combine", "experts"))
    lines = " ".join(assumptions(scenario, None))
    for expected in ("all 16 slots of a layer", "Rail-optimised InfiniBand", "over 16 GPUs"):
        assert expected in lines
