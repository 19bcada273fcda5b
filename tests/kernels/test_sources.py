"""Reading the source database: units, meanings, and what is said when it is not there."""

from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from simulator.errors import TableError
from simulator.kernels import sources
from simulator.kernels.selection import Choice


def choice(operator, dtype="bfloat16", kernels=()):
    return Choice("a100_sxm", "vllm", operator, dtype, "vllm", "1.0", kernels, "test")


def read(tmp_path, operator, **kwargs):
    rows, files = sources.read_choice(tmp_path, choice(operator, **kwargs))
    assert all(file.startswith("a100_sxm/") for file in files)
    assert set(rows["backend"]) == {"vllm"}
    assert set(rows["version"]) == {"1.0"}
    return rows


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(TableError, match=r"pip install 'moesim\[kernels\]'"):
        sources.find_database()


def test_an_installed_package_is_found_without_importing_it(monkeypatch, tmp_path):
    (tmp_path / "systems" / "data").mkdir(parents=True)
    spec = ModuleSpec("aiconfigurator_core", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(sources, "find_spec", lambda name: spec)
    assert sources.find_database() == tmp_path / "systems" / "data"


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(TableError, match="holds no folder 'data'"):
        sources.find_database(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"gemm_perf\.parquet"):
        sources.read_choice(tmp_path, choice("gemm"))


def test_gemm_milliseconds_become_seconds(tmp_path, source_file):
    path = tmp_path / "a100_sxm/gemm/vllm/1.0/gemm_perf.parquet"
    source_file(
        path, kernel_source="k", gemm_dtype=["bfloat16", "fp8"], m=2, n=3, k=4, latency=[5.0, 6.0]
    )
    rows = read(tmp_path, "gemm")
    assert rows["seconds"].tolist() == [5e-3]
    assert (rows["m"][0], rows["n"][0], rows["k"][0]) == (2, 3, 4)
    with pytest.raises(TableError, match="no nvfp4 rows"):
        sources.read_choice(tmp_path, choice("gemm", "nvfp4"))


def test_only_balanced_routing_is_read_and_nemotron_has_two_matrices(tmp_path, source_file):
    path = tmp_path / "a100_sxm/moe/vllm/1.0/moe_perf.parquet"
    source_file(
        path,
        kernel_source="k",
        moe_dtype="bfloat16",
        num_tokens=1,
        hidden_size=2048,
        inter_size=768,
        topk=[8, 8, 6, 22],
        num_experts=[128, 128, 128, 512],
        moe_tp_size=2,
        moe_ep_size=1,
        distribution=["balanced", "power_law_1.2", "balanced", "balanced"],
        latency=1.0,
    )
    rows = read(tmp_path, "experts")
    assert rows["top_k"].tolist() == [8, 6, 22]
    assert rows["matrices"].tolist() == [3, 2, 2]
    assert rows["tensor_parallel"].tolist() == [2, 2, 2]


def test_rows_sorted_by_expert_come_from_the_wide_file(tmp_path, source_file):
    path = tmp_path / "a100_sxm/moe/vllm/1.0/wideep_generation_moe_perf.parquet"
    source_file(
        path,
        kernel_source="deepepmoe",
        latency=0.1,
        moe_dtype="bfloat16",
        num_experts=256,
        topk=8,
        hidden_size=7168,
        inter_size=2048,
        moe_tp_size=1,
        moe_ep_size=64,
        num_tokens=[64, 128],
        distribution=["uniform", "power_law_1.2"],
    )
    rows = read(tmp_path, "masked_experts")
    assert rows["tokens"].tolist() == [64]
    assert rows["matrices"].tolist() == [3]


def attention_columns(**columns):
    base = {"kernel_source": "k", "num_heads": 4, "num_key_value_heads": 2, "head_dim": 128}
    base |= {
        "attn_dtype": "bfloat16",
        "kv_cache_dtype": "bfloat16",
        "latency": 1.0,
        "isl": 1,
        "step": 0,
    }
    return base | {"batch_size": 1} | columns


def test_a_decode_attends_to_its_cache_and_itself(tmp_path, source_file):
    path = tmp_path / "a100_sxm/attention/vllm/1.0/generation_attention_perf.parquet"
    source_file(path, **attention_columns(step=[1, 1023], kv_cache_dtype=["fp8", "bfloat16"]))
    rows = read(tmp_path, "decode_attention")
    assert rows["context"].tolist() == [1024]
    assert rows["window"].tolist() == [0]  # older files have no such column


@pytest.mark.parametrize(
    ("queries", "kept"),
    [
        (["bfloat16", "bfloat16", "fp8"], [3]),  # fp8 queries where the file has them
        (["bfloat16", "bfloat16", "bfloat16"], [2, 3]),
    ],
)
def test_an_fp8_cache_goes_with_fp8_queries_where_they_were_measured(
    tmp_path, source_file, queries, kept
):
    path = tmp_path / "a100_sxm/attention/vllm/1.0/context_attention_perf.parquet"
    formats = ["bfloat16", "fp8", "fp8"]
    source_file(
        path, **attention_columns(isl=[1, 2, 3], attn_dtype=queries, kv_cache_dtype=formats)
    )
    assert read(tmp_path, "prefill_attention", dtype="fp8")["tokens"].tolist() == kept
    assert read(tmp_path, "prefill_attention")["tokens"].tolist() == [1]


def test_the_window_is_kept_where_there_is_one(tmp_path, source_file):
    path = tmp_path / "a100_sxm/attention/vllm/1.0/generation_attention_perf.parquet"
    source_file(path, **attention_columns(step=[7, 7], window_size=[0, 128]))
    assert read(tmp_path, "decode_attention")["window"].tolist() == [0, 128]


def test_a_prefill_is_of_one_request(tmp_path, source_file):
    path = tmp_path / "a100_sxm/attention/vllm/1.0/context_attention_perf.parquet"
    source_file(path, **attention_columns(isl=[16, 32], batch_size=[1, 2]))
    assert read(tmp_path, "prefill_attention")["tokens"].tolist() == [16]


def test_latent_tables(tmp_path, source_file):
    folder = tmp_path / "a100_sxm/mla/vllm/1.0"
    columns = {"kernel_source": "k", "mla_dtype": "bfloat16", "num_heads": 16, "latency": 2.0}
    columns["kv_cache_dtype"] = ["bfloat16", "fp8"]
    source_file(folder / "generation_mla_perf.parquet", **columns, batch_size=[4, 8], step=511)
    source_file(folder / "context_mla_perf.parquet", **columns, batch_size=1, isl=64)
    rows = read(tmp_path, "latent_decode")
    assert (rows["context"].tolist(), rows["batch"].tolist()) == ([512], [4])
    assert read(tmp_path, "latent_decode", dtype="fp8")["batch"].tolist() == [8]
    assert read(tmp_path, "latent_prefill")["tokens"].tolist() == [64]


def test_absorb_products_are_told_apart(tmp_path, source_file):
    source_file(
        tmp_path / "a100_sxm/mla_bmm/vllm/1.0/mla_bmm_perf.parquet",
        kernel_source="k",
        bmm_dtype="bfloat16",
        op_name=["mla_gen_pre", "mla_gen_post"],
        num_tokens=8,
        num_heads=16,
        latency=1.0,
    )
    assert read(tmp_path, "latent_absorb")["phase"].tolist() == ["pre", "post"]


def test_message_elements_become_bytes_and_kernels_can_be_chosen(tmp_path, source_file):
    source_file(
        tmp_path / "a100_sxm/comm/vllm/1.0/custom_allreduce_perf.parquet",
        kernel_source=["custom_graph", "custom_eager"],
        allreduce_dtype="bfloat16",
        num_gpus=2,
        message_size=[128, 128],
        latency=[0.004, 0.02],
    )
    rows = read(tmp_path, "all_reduce", kernels=("graph",))
    assert rows["message"].tolist() == [256]
    np.testing.assert_allclose(rows["seconds"], [4e-6])
