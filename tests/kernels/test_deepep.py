"""Rows of DeepEP: units, what is added up, and which are left out."""

import numpy as np

from simulator.kernels.deepep import all_to_all
from simulator.kernels.selection import Choice
from simulator.kernels.sources import read_choice


def raw(count, **columns):
    """Columns of one length, as a file of the database holds them."""
    fixed = {"kernel_source": "deepep", "device": "NVIDIA H100 80GB HBM3", "hidden_size": 7168}
    fixed |= {"num_experts": 256, "num_topk": 8, "num_token": 16, "node_num": 1}
    return {name: np.broadcast_to(value, count).copy() for name, value in (fixed | columns).items()}


def driven(**columns):
    return raw(2, comm_backend="deepep_ll", phase=["dispatch", "combine"], ep_size=8, **columns)


def test_rows_of_vllm_count_in_microseconds():
    rows = all_to_all(driven(topk=8, num_tokens=16, latency=[40.0, 50.0]))
    np.testing.assert_allclose(rows["seconds"], [40e-6, 50e-6])
    assert rows["mode"].tolist() == ["deepep_ll", "deepep_ll"]
    assert (rows["tokens"][0], rows["hidden"][0], rows["gpus"][0]) == (16, 7168, 8)


def test_rows_of_the_kernels_split_into_dispatch_and_combine():
    rows = all_to_all(raw(1, node_num=2, dispatch_avg_t_us=20.0, combine_avg_t_us=30.0))
    seconds = dict(zip(rows["phase"].tolist(), rows["seconds"], strict=True))
    assert {name: round(value * 1e6) for name, value in seconds.items()} == {
        "dispatch": 20,
        "combine": 30,
    }
    assert rows["gpus"].tolist() == [16, 16]
    assert set(rows["mode"]) == {"deepep_ll"}


def normal(**columns):
    times = {f"{phase}_{part}_us": 1.0 for phase in ("dispatch", "combine") for part in PARTS}
    return times | {"dispatch_sms": 20, "combine_sms": 20} | columns


PARTS = ("notify", "transmit")


def test_throughput_waits_for_the_notice_too():
    times = {"dispatch_notify_us": 30.0, "dispatch_transmit_us": 60.0}
    rows = all_to_all(raw(1, **normal(**times)))
    np.testing.assert_allclose(rows["seconds"], [90e-6, 2e-6])
    assert set(rows["mode"]) == {"deepep_ht"}


def test_the_default_number_of_processors_is_taken_and_a_congested_network_is_not():
    rows = all_to_all(
        raw(3, **normal(node_num=[1, 4, 8], dispatch_sms=[24, 20, 20], combine_sms=[24, 20, 20]))
    )
    assert rows["nodes"].tolist() == [4, 4]


def test_superchips_have_four_gpus_a_node():
    rows = all_to_all(raw(1, device="NVIDIA GB200", dispatch_avg_t_us=20.0, combine_avg_t_us=30.0))
    assert rows["gpus"].tolist() == [4, 4]


def test_all_files_of_a_version_are_read(tmp_path, source_file):
    folder = tmp_path / "h100_sxm/comm/sglang/1.0"
    low = raw(1, dispatch_avg_t_us=20.0, combine_avg_t_us=30.0)
    source_file(folder / "wideep_deepep_ll_perf.parquet", **lists(low))
    source_file(folder / "wideep_deepep_normal_perf.parquet", **lists(raw(1, **normal())))
    choice = Choice("h100_sxm", "vllm", "all_to_all", "bfloat16", "sglang", "1.0", (), "test")
    rows, files = read_choice(tmp_path, choice)
    assert sorted(set(rows["mode"])) == ["deepep_ht", "deepep_ll"]
    assert len(files) == 2


def lists(columns):
    return {name: column.tolist() for name, column in columns.items()}
