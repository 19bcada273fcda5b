"""The whole of the shipped tables, and the interface to them."""

from dataclasses import replace
from importlib.resources import files

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.suites import some
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels import measured as module
from simulator.kernels.loggrid import LogGrid
from simulator.kernels.measured import MeasuredTables as Tables
from simulator.kernels.schema import OPERATORS, PACKAGE, content_hash, read_table
from simulator.kernels.tables import ExpertShape, KernelTables
from simulator.kernels.timing import Timing, weaker

GPUS = [
    "a100_sxm", "b200_sxm", "b300_sxm", "gb200", "gb300", "h100_sxm", "h200_sxm", "l40s",
    "rtx_pro_6000_server",
]  # fmt: skip
FOLDER = files(PACKAGE).joinpath("manifest.yaml").parent
MANIFEST = yaml.safe_load((FOLDER / "manifest.yaml").read_text())
A100 = KernelTables.load(load_gpu("a100_sxm"))


def test_the_tables_are_small():
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size < 16e6


@pytest.mark.parametrize("name", MANIFEST["tables"])
def test_the_manifest_accounts_for_every_table(name):
    path = FOLDER / f"{name}.parquet"
    entry = MANIFEST["tables"][name]
    assert content_hash(path) == entry["sha256"]
    schema = pq.read_schema(path)
    assert pq.read_metadata(path).num_rows == entry["rows"] > 0
    assert {"backend", "version", "kernel_source"} <= set(schema.names)
    assert schema.metadata[b"package"] == b"aiconfigurator-core"
    assert schema.metadata[b"version"] == b"0.12.0"
    assert schema.metadata[b"licence"] == b"Apache-2.0"
    assert set(entry["sources"]) == set(yaml.safe_load(schema.metadata[b"files"].decode()))
    assert entry["dropped"] == yaml.safe_load(schema.metadata[b"dropped_rows"].decode())


def test_no_table_is_missing_from_the_manifest():
    found = {
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.parquet")
    }
    assert found == set(MANIFEST["tables"])
    assert sum(entry["rows"] for entry in MANIFEST["tables"].values()) == MANIFEST["rows"]


@pytest.mark.parametrize("gpu", some(GPUS, "a100_sxm", "h100_sxm"))
def test_no_key_occurs_twice_and_all_times_are_sane(gpu):
    tables = [name.split("/") for name in MANIFEST["tables"] if name.startswith(f"{gpu}/")]
    assert len(tables) >= 8
    for _, engine, name in tables:
        operator, rows = OPERATORS[name], read_table(gpu, engine, name)
        keys = list(zip(*(rows[name] for name in operator.identity), strict=True))
        assert len(set(keys)) == len(keys), operator.name
        assert rows["seconds"].min() > 1e-6
        assert rows["seconds"].max() < 10


@pytest.mark.parametrize("gpu", GPUS)
def test_every_question_is_answered_on_every_gpu(gpu):
    tables = KernelTables.load(load_gpu(gpu))
    answers = [
        tables.gemm(37.5, 4608, 3584, "bfloat16"),
        tables.experts(10, 35.0, ExpertShape(64, 8, 3584, 2560, 2), "bfloat16"),
        tables.decode_attention(13.5, 777.7, 5, 14, 2, 128),
        tables.prefill_attention(100.5, 1000, 14, 2, 128),
        tables.latent_decode_attention(4, 500, 3, 16),
        tables.latent_prefill_attention(0, 500, 16),
        tables.all_reduce(8 * 3584 * 2, 2),
    ]
    for answer in answers:
        assert 1e-6 < answer.seconds < 1e-2
        assert answer.kind in ("measured", "fitted", "assumed")


def test_loading_reads_nothing_and_each_table_once(monkeypatch):
    read = []
    monkeypatch.setattr(module, "read_table", lambda *a: read.append(a) or read_table(*a))
    module.measured_tables.cache_clear()
    tables = KernelTables.load(load_gpu("l40s"))
    assert read == []
    for _ in range(3):
        tables.gemm(1, 64, 64, "bfloat16")
        KernelTables.load(load_gpu("l40s")).all_reduce(1024, 2)
    assert [name for _, _, name, _ in read] == ["gemm", "all_reduce", "nccl"]
    assert not {"backend", "version", "kernel_source"} & {
        c for *_, columns in read for c in columns
    }


def test_a_gpu_may_stand_on_anothers_tables():
    a800 = replace(load_gpu("a100_sxm"), name="a800_sxm", tables="a100_sxm")
    tables = KernelTables.load(a800)
    assert tables.gpu is a800
    assert tables.gemm(4, 4096, 4096, "bfloat16") == A100.gemm(4, 4096, 4096, "bfloat16")


def test_a_gpu_without_tables_is_refused():
    with pytest.raises(TableError, match="h800"):
        KernelTables.load(replace(load_gpu("h100_sxm"), tables="h800"))


def test_an_operator_that_was_not_measured_is_named():
    with pytest.raises(TableError, match="all_to_all was not measured on NVIDIA A100"):
        A100._sets[0].rows("all_to_all")


def test_describe_names_the_origin_of_every_row():
    slices = A100.describe()
    total = sum(
        entry["rows"] for name, entry in MANIFEST["tables"].items() if name.startswith("a100")
    )
    assert sum(s.rows for s in slices) == total
    experts = {(s.dtype, s.backend, s.version) for s in slices if s.operator == "experts"}
    assert experts == {("bfloat16", "sglang", "0.5.10"), ("int4_wo", "sglang", "0.5.10")}


# ---- dense products


def test_gemm_rows_come_back():
    rows = read_table("a100_sxm", "vllm", "gemm")
    for i in np.random.default_rng(2).choice(len(rows["m"]), 300, replace=False):
        timing = A100.gemm(rows["m"][i], int(rows["n"][i]), int(rows["k"][i]), "bfloat16")
        assert timing.seconds == pytest.approx(rows["monotone_seconds"][i], rel=1e-6)
        assert timing.kind == "measured"


@given(st.floats(0.1, 50000), st.integers(8, 200000), st.integers(8, 70000))
def test_gemm_times_are_finite_and_bounded_by_the_hardware(m, n, k):
    timing = A100.gemm(m, n, k, "bfloat16")
    wide, deep = max(n, 32), max(k, 32)  # narrower products cost what the narrowest measured does
    bytes_s = 2 * wide * deep / A100.gpu.memory_bandwidth
    flops_s = 2 * m * wide * deep / A100.gpu.peak("bfloat16")
    assert 0.9 * max(bytes_s, flops_s) < timing.seconds < 60e-6 + 10 * (bytes_s + flops_s)


def test_a_vocabulary_beyond_the_grid_scales_in_proportion_and_is_assumed():
    edge = A100.gemm(8, 65536, 3584, "bfloat16")
    head = A100.gemm(8, 151936, 3584, "bfloat16")
    assert head.seconds == pytest.approx(edge.seconds * 151936 / 65536)
    assert (edge.kind, head.kind) == ("measured", "assumed")


def test_decode_sized_products_are_memory_bound():
    one, many = (A100.gemm(m, 8192, 8192, "bfloat16").seconds for m in (1, 16))
    assert many < 1.15 * one


def test_an_unmeasured_gemm_dtype_is_refused_with_the_known_ones():
    with pytest.raises(TableError, match="Known: bfloat16"):
        A100.gemm(1, 64, 64, "fp8_block")


# ---- all-reduce


def test_all_reduce_grows_with_the_message_and_rows_come_back():
    rows = read_table("a100_sxm", "vllm", "all_reduce")
    for gpus, message, seconds in zip(rows["gpus"], rows["message"], rows["seconds"], strict=True):
        own = A100._sets[0].all_reduce.at(message, int(gpus))
        assert own.seconds == pytest.approx(seconds, rel=1e-6)
        assert A100.all_reduce(message, int(gpus)).seconds <= own.seconds  # NCCL's may be faster
    assert A100.all_reduce(2**31, 2).kind == "assumed"
    assert A100.all_reduce(1, 4).seconds == pytest.approx(A100.all_reduce(256, 4).seconds)


def test_all_reduce_over_one_gpu_is_free():
    assert A100.all_reduce(1e9, 1).seconds == 0.0


def test_unmeasured_group_sizes_are_refused_with_the_measured_ones():
    with pytest.raises(TableError, match="measured: 2, 4, 8"):
        A100.all_reduce(1024, 3)


# ---- latent attention


def test_latent_decode_holds_the_absorb_products():
    rows = read_table("h100_sxm", "vllm", "latent_decode")
    absorb = read_table("h100_sxm", "vllm", "latent_absorb")
    at = (rows["heads"] == 16) & (rows["context"] == 1024) & (rows["batch"] == 32)
    at &= rows["dtype"] == "bfloat16"
    both = (absorb["heads"] == 16) & (absorb["tokens"] == 32)
    expected = rows["seconds"][at].sum() + absorb["seconds"][both].sum()
    assert (at.sum(), both.sum()) == (1, 2)
    h100 = KernelTables.load(load_gpu("h100_sxm"))
    assert h100.latent_decode_attention(32, 1024, 1, 16).seconds == pytest.approx(
        expected, rel=1e-6
    )


@given(st.floats(1, 256), st.floats(64, 30000), st.integers(2, 9), st.sampled_from([16, 64, 128]))
def test_latent_verification_costs_at_least_a_decode(batch, context, queries, heads):
    h100 = KernelTables.load(load_gpu("h100_sxm"))
    one = h100.latent_decode_attention(batch, context, 1, heads).seconds
    many = h100.latent_decode_attention(batch, context, queries, heads).seconds
    assert one <= many < (queries + 1) * one


def test_latent_verification_with_all_heads_is_compute_bound():
    h100 = KernelTables.load(load_gpu("h100_sxm"))
    one = h100.latent_decode_attention(256, 4096, 1, 128).seconds
    four = h100.latent_decode_attention(256, 4096, 4, 128)
    flops_s = 2 * 256 * 4096 * 512 * (2 * 512 + 64) / h100.gpu.peak("bfloat16")
    assert four.kind == "fitted"
    assert max(flops_s, 1.5 * one) < four.seconds < 4 * one


def test_latent_prefill_grows_by_chunks():
    whole = A100.latent_prefill_attention(0, 8192, 16).seconds
    parts = [A100.latent_prefill_attention(s, s + 2048, 16).seconds for s in range(0, 8192, 2048)]
    assert sum(parts) == pytest.approx(whole, rel=0.05)


# ---- what a question costs, by counts


@pytest.fixture
def counted(monkeypatch):
    """Count the calls of a method, without changing what it does."""

    def count(owner, name):
        calls, method = [], getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *words: calls.append(words) or method(*words))
        return calls

    return count


def test_which_table_answers_is_settled_once(counted):
    tables, calls, counts = KernelTables.load(load_gpu("a100_sxm")), counted(Tables, "holds"), []
    for tokens in (16, 17, 18):
        tables.gemm(tokens, 2048, 2048, "bfloat16")
        tables.experts(tokens, 64, ExpertShape(128, 8, 2048, 768, 1), "bfloat16")
        tables.decode_attention(tokens, 900, 4, 32, 4, 128)
        counts.append(len(calls))
    assert 0 < counts[0] == counts[1] == counts[2]


def test_experts_read_two_curves_once_all_are_touched(counted):
    shape, calls = ExpertShape(128, 8, 2048, 768, 1), counted(LogGrid, "at")
    A100.experts(100, 64, shape, "bfloat16")
    calls.clear()
    A100.experts(200, 64, shape, "bfloat16")
    assert len(calls) == 2


# ---- timings


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("measured", "measured", "measured"),
        ("measured", "fitted", "fitted"),
        ("assumed", "fitted", "assumed"),
    ],
)
def test_the_weaker_kind_wins(first, second, result):
    assert weaker(first, second) == weaker(second, first) == result
    assert (Timing(1.0, first) + Timing(2.0, second)) == (3.0, result)


def test_a_timing_does_not_add_to_a_tuple():
    with pytest.raises(TypeError):
        Timing(1.0, "measured") + (2.0, "fitted")  # noqa: RUF005
