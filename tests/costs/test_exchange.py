"""What GPUs exchange within a node, between nodes, and around routed experts."""

import pytest
from helpers.step_models import step_model

from simulator.costs.exchange import Exchange
from simulator.errors import ConfigError
from simulator.experts.imbalance import slowest_rank_experts, slowest_rank_share
from simulator.hardware.collectives import fastest
from simulator.hardware.gpu import load_gpu
from simulator.hardware.topology import load_topology
from simulator.kernels.tables import ExpertShape, KernelTables
from simulator.models.operators import Combine, Dispatch

RAILS = "rails_infiniband_h100"
LAYERS = 58
"""MoE layers of DeepSeek-V3."""


@pytest.fixture(scope="module")
def rails():
    return Exchange(KernelTables.load(load_gpu("h100_sxm")), load_topology(RAILS))


@pytest.fixture(scope="module")
def wide():
    """DeepSeek-V3 over 32 GPUs of four nodes, with 32 replicas of experts: nine slots each."""
    sizes = {"data": 32, "expert": 32, "redundant": 32}
    backend = {"all2all_backend": "deepep_low_latency", "topology": RAILS}
    return step_model("deepseek_v3", "h100_sxm", 1, **sizes, **backend).target


@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "reduce_scatter"])
def test_collectives_are_measured_in_a_node_and_follow_the_links_beyond(rails, collective):
    for message_bytes in (0.0, 3e4, 5e8):
        inside = getattr(rails, collective)(message_bytes, 8)
        assert inside == getattr(rails.tables, collective)(message_bytes, 8)
        beyond = getattr(rails, collective)(message_bytes, 16)
        alone = fastest(rails.topology.first(16), collective, message_bytes).seconds
        assert (beyond.seconds, beyond.kind) == (pytest.approx(alone, rel=1e-9), "assumed")


def test_a_part_of_a_topology_keeps_its_routes(rails):
    whole, part = rails.topology, rails.topology.first(12)
    assert part.gpus == 12
    assert part.routes[1][11] == whole.routes[1][11]
    assert part.latency_s[1, 11] == whole.latency_s[1, 11]
    with pytest.raises(ConfigError, match="has 32 GPUs, 33 are asked for"):
        whole.first(33)


def test_nodes_that_nothing_joins_exchange_nothing(rails):
    with pytest.raises(ConfigError, match=r"beyond the 8 of one .* set hardware\.topology"):
        Exchange(rails.tables).all_gather(1.0, 16)


def test_dispatch_and_combine_wait_for_the_gpu_with_most_copies(wide):
    """Replicas are slots like the experts: 8 of 288 are drawn, nine on each GPU."""
    tokens = 640
    busiest = tokens * slowest_rank_share(tokens, 8, 288, 32)
    active = slowest_rank_experts(tokens, 8, 288, 32)
    parts = wide.experts(tokens, tokens)
    shape = ExpertShape(288, 8, 7168, 2048, tensor_parallel=1, expert_parallel=32)
    computed = wide.tables.experts(busiest, active, shape, "fp8_block").seconds
    assert parts["experts"].seconds == pytest.approx(LAYERS * computed, rel=1e-12)
    for kind in (Dispatch, Combine):
        (op,) = (one for one in wide.operators if isinstance(one, kind))
        expected = wide.exchange.routed(op, busiest / 32).seconds
        assert parts[op.part].seconds == pytest.approx(LAYERS * expected, rel=1e-12)


def test_replicas_leave_the_count_of_logical_experts_alone(wide):
    assert wide.active_experts(1e6) == pytest.approx(256)


def test_sending_to_chosen_experts_alone_beats_sending_to_all(wide):
    """Of 32 GPUs a token needs eight at most: all-gather brings it to every one."""
    gather = step_model(
        "deepseek_v3", "h100_sxm", 1, data=32, expert=32, redundant=32, topology=RAILS
    ).target
    many = 32 * 256
    assert gather.gathers
    assert wide.gathers
    for part in ("dispatch", "combine"):
        chosen, everywhere = (one.experts(many, many)[part].seconds for one in (wide, gather))
        assert 2 * chosen < everywhere
