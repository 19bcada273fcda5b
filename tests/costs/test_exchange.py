"""What GPUs exchange within a node, between nodes, and around routed experts."""

import pytest
from helpers.step_models import step_model

from simulator.errors import TableError
from simulator.experts.imbalance import slowest_rank_experts, slowest_rank_share
from simulator.kernels.tables import ExpertShape

RAILS = "rails_infiniband_h100"
LAYERS = 58
"""MoE layers of DeepSeek-V3."""


@pytest.fixture(scope="module")
def wide():
    """DeepSeek-V3 over 32 GPUs of four nodes, with 32 replicas of experts: nine slots each."""
    sizes = {"data": 32, "expert": 32, "redundant": 32}
    backend = {"all2all_backend": "deepep_low_latency", "topology": RAILS}
    return step_model("deepseek_v3", "h100_sxm", 1, **sizes, **backend).target


def test_groups_over_two_nodes_go_by_the_topology():
    """16 GPUs of one attention group: more latency and less bandwidth than the eight of a node."""
    inside, beyond = (
        step_model("deepseek_v3", "h100_sxm", size, topology=RAILS).target for size in (8, 16)
    )
    for tokens in (1, 4096):
        near, far = (one.dense(tokens)["all_reduce"] for one in (inside, beyond))
        assert near.kind == "measured"
        assert far.kind == "assumed"
        assert far.seconds > near.seconds
    with pytest.raises(TableError, match="over 16 GPUs was not measured"):
        step_model("deepseek_v3", "h100_sxm", 16).target.dense(1)


def test_dispatch_and_combine_wait_for_the_gpu_with_most_copies(wide):
    """Replicas are slots like the experts: 8 of 288 are drawn, nine on each GPU."""
    tokens = 640
    busiest = tokens * slowest_rank_share(tokens, 8, 288, 32)
    active = slowest_rank_experts(tokens, 8, 288, 32)
    parts = wide.experts(tokens, tokens)
    shape = ExpertShape(288, 8, 7168, 2048, tensor_parallel=1, expert_parallel=32)
    computed = wide.tables.experts(busiest, active, shape, "fp8_block", masked=True).seconds
    assert parts["experts"].seconds == pytest.approx(LAYERS * computed, rel=1e-12)
    shape = {"hidden": 7168, "top_k": 8, "experts": 288, "gpus": 32, "nodes": 4}
    for part in ("dispatch", "combine"):
        price = getattr(wide.tables, part)
        expected = price(busiest / 32, **shape, mode="deepep_low_latency")
        assert expected.kind == parts[part].kind == "measured"
        assert parts[part].seconds == pytest.approx(LAYERS * expected.seconds, rel=1e-12)


def test_replicas_leave_the_count_of_logical_experts_alone(wide):
    assert wide.active_experts(1e6) == pytest.approx(256)


def test_dispatching_in_fp8_to_chosen_experts_beats_sending_to_all(wide):
    """Eight copies, of which six leave the node, of half the size, against three for three nodes.

    Results come back in bfloat16: over so few nodes a reduce-scatter by the rails is faster.
    """
    gather = step_model(
        "deepseek_v3", "h100_sxm", 1, data=32, expert=32, redundant=32, topology=RAILS
    ).target
    many = 32 * 256
    assert gather.gathers
    assert wide.gathers
    chosen, everywhere = (one.experts(many, many)["dispatch"].seconds for one in (wide, gather))
    assert chosen < everywhere
