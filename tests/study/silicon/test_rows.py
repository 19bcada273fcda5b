"""Reading published deployments: the rules, row by row, and what they make of the whole sample."""

import csv
import re
from collections import Counter

import pytest

from simulator.errors import TableError
from simulator.study.silicon.rows import (
    SiliconRow,
    interpret,
    load_reading,
    parallel_sizes,
    read_sample,
    set_aside,
)

ROW = {
    "id": "one",
    "silicon_data_source": "db-dump/2026-04-27; config_id=7; silicon_concurrency=64",
    "backend": "vllm",
    "model_path": "MiniMaxAI/MiniMax-M2.5",
    "system": "b200_sxm",
    "mode": "agg",
    "isl": "1024",
    "osl": "512",
    "gemm_quant_mode": "fp8",
    "moe_quant_mode": "fp8",
    "batch_size": "64.0",
    "tp_size": "4.0",
    "attention_dp_size": "1.0",
    "moe_tp_size": "4.0",
    "moe_ep_size": "1.0",
    "silicon_ttft_ms": "205.5",
    "silicon_tpot_ms": "17.75",
}


def read(**changes):
    return interpret(ROW | changes, load_reading())


def sizes(tensor, data, expert_tensor, expert):
    named = {
        "tp_size": tensor,
        "attention_dp_size": data,
        "moe_tp_size": expert_tensor,
        "moe_ep_size": expert,
    }
    return {name: "" if size is None else str(float(size)) for name, size in named.items()}


def test_a_row_becomes_a_deployment_of_ours():
    row = read()
    assert (row.model, row.engine, row.gpu) == ("minimax_m2_5", "vllm", "b200_sxm")
    assert dict(row.formats) == {
        "dtype": "fp8_block",
        "expert_dtype": "fp8_block",
        "kv_dtype": "fp8",
    }
    assert (row.tensor, row.data, row.expert) == (4, 1, 1)
    assert (row.users, row.requests, row.random_range_ratio) == (64, 640, 0.8)
    assert row.ttft_s == pytest.approx(0.2055)
    assert row.tpot_s == pytest.approx(0.01775)


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        ((8, 1, 8, 1), (8, 1, 1)),
        ((4, 1, 1, 4), (4, 1, 4)),
        ((1, 8, 1, 8), (1, 8, 8)),
        ((4, 4, 1, 16), (4, 1, 4)),  # tp4 ep4 again, multiplied in another way
        ((2, 2, 1, 4), (2, 1, 2)),
        ((64, 1, 8, 8), (8, 1, 8)),  # tp8 ep8 without it
        ((1, 64, 8, 8), (1, 8, 8)),  # tp8 ep8 with it
        ((4, 1, 2, 2), (2, 1, 2)),
        ((4, None, 2, 2), (4, 1, 2)),  # another source, which states no groups: as it stands
        ((1, None, 2, 1), (1, 2, 1)),
        ((2, 0, 0, 0), (2, 1, 1)),
        ((8, None, 1, 1), (8, 1, 1)),  # dense: the experts' sizes say nothing
    ],
)
def test_sizes_that_a_conversion_multiplied_are_read_as_they_were_set(stated, meant):
    assert parallel_sizes(sizes(*stated)) == meant


@pytest.mark.parametrize("stated", [(72, 1, 72, 1), (28, 1, 28, 1), (4, 1, 2, 1)])
def test_sizes_beyond_a_node_or_at_odds_are_left_out(stated):
    assert parallel_sizes(sizes(*stated)) is None
    assert "8 GPUs" in read(**sizes(*stated))


@pytest.mark.parametrize(
    ("changes", "formats"),
    [
        ({"model_path": "openai/gpt-oss-120b", "moe_quant_mode": "nvfp4"}, "w4a8_mxfp4_mxfp8"),
        ({"model_path": "openai/gpt-oss-120b", "system": "h200_sxm"}, "w4a16_mxfp4"),
        ({"model_path": "moonshotai/Kimi-K2.5", "moe_quant_mode": "int4_wo"}, "int4_wo"),
        ({"model_path": "deepseek-ai/DeepSeek-V3", "moe_quant_mode": "nvfp4"}, "nvfp4"),
    ],
)
def test_a_checkpoint_says_what_its_weights_are(changes, formats):
    assert dict(read(**changes).formats)["expert_dtype"] == formats


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_path": "nobody/nothing"}, "unknown checkpoint"),
        ({"moe_quant_mode": "int2"}, "unknown quantisation"),
    ],
)
def test_what_cannot_be_read_says_why(changes, reason):
    assert read(**changes) == reason


def test_users_come_from_the_source_and_else_from_batch_and_groups():
    assert read(silicon_data_source="db-dump", **sizes(1, 8, 1, 8)).users == 64 * 8
    assert read(silicon_data_source="gap; silicon_concurrency=12").users == 12


@pytest.mark.parametrize(
    ("changes", "kv_dtype", "interval"),
    [
        ({}, "fp8", 1),
        ({"system": "h100_sxm"}, "bfloat16", 1),
        ({"backend": "trtllm", "system": "h200_sxm"}, "fp8", 1),
        (
            {
                "backend": "trtllm",
                "system": "h200_sxm",
                "model_path": "deepseek-ai/DeepSeek-V3",
            },
            "fp8",
            10,
        ),
        ({"backend": "sglang", "system": "h200_sxm"}, "bfloat16", 1),
    ],
)
def test_the_server_s_recipe_sets_cache_format_and_streaming(changes, kv_dtype, interval):
    row = read(**changes)
    assert dict(row.formats)["kv_dtype"] == kv_dtype
    assert row.stream_interval == interval


@pytest.mark.parametrize(("users", "steps"), [(4, 10), (16, 30), (64, 30)])
def test_sglang_looks_at_its_queue_now_and_then(users, steps):
    source = f"db-dump; silicon_concurrency={users}"
    assert read(backend="sglang", silicon_data_source=source).recv_interval == steps
    assert read(silicon_data_source=source).recv_interval == 1


def test_repeats_that_disagree_are_set_aside_as_a_whole():
    def row(name, tpot_ms, **changes):
        return read(id=name, silicon_tpot_ms=str(tpot_ms), **changes)

    alike = [row("a", 10), row("b", 13.9)]
    apart = [row("c", 10, osl="128"), row("d", 14.1, osl="128"), row("e", 11, osl="128")]
    assert set_aside([*alike, *apart]) == {"c", "d", "e"}


def test_halves_split_deployments_not_rows():
    rows = [read(id=str(users), batch_size=str(users)) for users in (1, 8, 64)]
    assert len({row.held_out for row in rows}) == 1


def test_a_missing_sample_says_which_package_has_it(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(TableError, match=r"silicon_sample\.csv.*aiconfigurator-core"):
        read_sample(tmp_path)


def test_only_aggregated_rows_are_read(tmp_path):
    (tmp_path / "data").mkdir()
    with (tmp_path / "silicon_sample.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROW)
        writer.writeheader()
        writer.writerows([ROW, ROW | {"mode": "disagg"}])
    assert read_sample(tmp_path) == [ROW]


def test_the_published_sample_is_read_almost_whole():
    pytest.importorskip("aiconfigurator_core", reason="the sample ships in that package")
    sample = read_sample()
    reading = load_reading()
    found = [interpret(row, reading) for row in sample]
    rows = [row for row in found if isinstance(row, SiliconRow)]
    assert len(sample) == 3619
    assert len(rows) == 3564
    assert set(Counter(row for row in found if isinstance(row, str))) == {
        "sizes that do not agree or exceed 8 GPUs"
    }
    # Identifiers of the benchmark carry the sizes as they were set.
    ids = re.compile(r"^2026_.*_tp(\d+)(?:_0)?_ep(\d+)(?:_0)?_")
    stating = [(row, match) for row in rows if (match := ids.search(row.name))]
    assert len(stating) > 900
    for row, match in stating:
        assert (row.tensor * row.data, row.expert) == (int(match[1]), int(match[2])), row.name
    held = sum(row.held_out for row in rows) / len(rows)
    assert 0.4 < held < 0.6
