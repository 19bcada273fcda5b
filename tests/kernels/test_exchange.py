"""DeepEP's tables: read where they were measured, scaled on links where not."""

import pytest

from simulator.errors import ConfigError, TableError
from simulator.hardware.exchange import HIGH_THROUGHPUT, KINDS, LOW_LATENCY, Exchange, exchange_line
from simulator.hardware.gpu import load_gpu
from simulator.hardware.topology import load_topology
from simulator.kernels.exchange import COMBINE, DISPATCH, DISPATCH_BYTES, Place, read_curves
from simulator.kernels.schema import read_table
from simulator.kernels.tables import KernelTables

V3 = {"hidden": 7168, "top_k": 8, "experts": 256}
RAILS = load_topology("rails_infiniband_h100")
RACK = load_topology("nvl72")


def load(gpu):
    return KernelTables.load(load_gpu(gpu))


H100 = load("h100_sxm")


def low(**sizes):
    return V3 | {"mode": LOW_LATENCY} | sizes


def high(**sizes):
    return V3 | {"mode": HIGH_THROUGHPUT} | sizes


def test_measured_rows_are_met():
    """SGLang 0.5.6 and 0.5.12, kernels alone: rows of the source in microseconds."""
    for tokens, gpus, expected_us in (
        (128, 16, 102),
        (128, 32, 143),
        (256, 64, 301),
        (1024, 8, 224),
    ):
        timing = H100.dispatch(tokens, gpus=gpus, nodes=gpus // 8, **low())
        assert (round(timing.seconds * 1e6), timing.kind) == (expected_us, "measured")


def test_between_rows_it_is_measured_and_beyond_the_last_assumed():
    before, between, after = (
        H100.combine(tokens, gpus=16, nodes=2, **low()) for tokens in (128, 144, 160)
    )
    assert before.seconds < between.seconds < after.seconds
    assert between.kind == "measured"
    last, beyond = (H100.combine(tokens, gpus=16, nodes=2, **low()) for tokens in (256, 512))
    assert beyond.seconds == pytest.approx(2 * last.seconds)
    assert beyond.kind == "assumed"


def test_another_model_is_read_where_as_many_bytes_leave():
    """Half as wide, twice the tokens."""
    wide = H100.combine(64, gpus=32, nodes=4, **low())
    narrow = H100.combine(128, gpus=32, nodes=4, **low(hidden=3584))
    assert narrow.seconds == pytest.approx(wide.seconds)
    assert narrow.kind == "fitted"


def test_a_dispatch_in_bfloat16_takes_as_long_as_its_bytes():
    fp8 = H100.dispatch(128 * 2 / DISPATCH_BYTES, gpus=16, nodes=2, **low())
    bf16 = H100.dispatch(128, gpus=16, nodes=2, **low(), dtype_bytes=2.0)
    assert bf16 == (pytest.approx(fp8.seconds), "fitted")


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize("phase", ["dispatch", "combine"])
def test_more_nodes_add_what_the_links_say(mode, phase):
    """24 GPUs were not measured: 16 were, and the closed forms differ by the third node."""
    rows = {"phase": phase, "mode": mode}
    element_bytes = DISPATCH_BYTES if phase == DISPATCH else 2.0
    held_bytes = 128 * 7168 * element_bytes
    ask = getattr(H100, phase)
    two = ask(128, gpus=16, nodes=2, mode=mode, **V3)
    three = ask(128, gpus=24, nodes=3, mode=mode, topology=RAILS, **V3)
    far, near = (exchange_line(RAILS, Exchange(mode, g, g // 8, 8, 256)) for g in (24, 16))
    added_s = far.at(held_bytes) - near.at(held_bytes)
    assert three == (pytest.approx(two.seconds + added_s), "assumed"), rows


def test_fewer_gpus_of_a_node_send_fewer_copies_away():
    eight = H100.dispatch(256, gpus=8, nodes=1, **low())
    four = H100.dispatch(256, gpus=4, nodes=1, **low())
    assert four.kind == "assumed"
    assert four.seconds == pytest.approx(
        H100.dispatch(256 * 6 / 7, gpus=8, nodes=1, **low()).seconds
    )
    assert four.seconds < eight.seconds


def test_a_rack_is_scaled_from_its_trays():
    tray, rack = (load("gb200").combine(256, gpus=g, nodes=1, **high()) for g in (4, 72))
    assert (tray.kind, rack.kind) == ("measured", "assumed")
    assert rack.seconds > tray.seconds


def test_the_network_grows_with_nodes_up_to_all_copies():
    times = [
        H100.dispatch(128, gpus=8 * n, nodes=n, topology=RAILS, **low()).seconds
        for n in (1, 2, 3, 4)
    ]
    assert times == sorted(times)


def test_nvlink_of_another_width_slows_a_node_alone():
    h800 = load("h800_sxm")
    one, whole = (tables.combine(1024, gpus=8, nodes=1, **low()) for tables in (h800, H100))
    assert one.kind == "fitted"
    assert 1.5 < one.seconds / whole.seconds < 450 / 200
    over = [tables.combine(128, gpus=16, nodes=2, **low()) for tables in (h800, H100)]
    assert over[0] == over[1]


def test_one_gpu_exchanges_nothing():
    assert H100.dispatch(1e6, gpus=1, nodes=1, **low()).seconds == 0.0


def test_curves_are_of_the_kernels_alone_where_there_are_any():
    curves = read_curves(read_table("h100_sxm", "vllm", "all_to_all"))
    place = Place(COMBINE, LOW_LATENCY, 8, 1)
    (v3,) = (
        c
        for c in curves[place]
        if (c.exchange.experts, c.hidden, c.exchange.top_k) == (256, 7168, 8)
    )
    assert v3.seconds[0] < 20e-6  # 48 where vLLM drives it
    assert read_curves(None) == {}


def test_refused():
    with pytest.raises(TableError, match=r"was not measured on .* A100.*allgather_reducescatter"):
        load("a100_sxm").dispatch(1, gpus=8, nodes=1, **low())
    with pytest.raises(TableError, match=r"72 GPUs in 9 nodes .* 64 in 8\. Name what links them"):
        H100.dispatch(1, gpus=72, nodes=9, **low())
    with pytest.raises(ConfigError, match="has 32 GPUs, 72 are asked for"):
        H100.dispatch(1, gpus=72, nodes=9, topology=RAILS, **low())
    with pytest.raises(ConfigError, match="in 3 nodes does not fit"):
        load("b200_sxm").dispatch(1, gpus=24, nodes=3, topology=RACK, **low())
    with pytest.raises(ConfigError, match="Did you mean 'deepep_low_latency'"):
        H100.dispatch(1, gpus=8, nodes=1, **V3, mode="deepep_low_latencies")
